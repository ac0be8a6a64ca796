// Package knative holds the triggers against Knative's own code: its API types
// and webhooks take the YAML, and its filters decide as package triggers does.
// It has tests only; Knative's code links client-go, which nothing that ships
// should.
package knative
