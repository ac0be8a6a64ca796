// Package knative has the manifests of an installation on Kubernetes with
// Knative, and the tests that hold them against the real API types, Knative's
// own validation, the Pod Security standard and the tree.
package knative
