// Package knative holds Millrace against Knative: its API types and webhooks
// take the triggers' YAML, and its filters decide as package triggers does;
// and, with a cluster (make e2e-cluster), the whole chain runs on it, through
// its broker, while what it runs on is killed. It has tests only; Knative's
// code links client-go, which nothing else here should.
package knative
