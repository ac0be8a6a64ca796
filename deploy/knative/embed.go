package knative

import "embed"

// Files are the manifests, as they lie here. Their base takes the triggers of
// ../../triggers along.
//
//go:embed base function functions pipelines overlays
var Files embed.FS
