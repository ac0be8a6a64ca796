// Package examples has the example pipelines, so that the millrace command
// brings them along wherever it is installed.
package examples

import "embed"

// Files are the folders of the examples and setup.sh, which makes their Python
// environment. Modes are lost: run setup.sh with sh.
//
//go:embed README.md setup.sh diabetes flights wine
var Files embed.FS
