// Package serving computes the objects that serve a pipeline on a cluster, from
// the pipeline's state and the live objects. It does no I/O: package cluster
// reads, calls it and applies.
//
// # Knative
//
// A model is a Service, inference-<pipeline>; a version of it is a revision,
// inference-<pipeline>-v<version>-<digest of the template>, with the tag
// v<version>; a route is the Service's traffic, in whole per cents.
//
// The template is that of the installation's own Service inference, which
// answers for all models: image, settings, secrets, account and all changes of
// an overlay are only there. A version adds which pipeline and version it
// serves, and the section serve of the pipeline file.
//
// A revision does not change. A version keeps the image that it had when its
// revision was made; a new one comes with the next version, or when the
// revision of an old one was deleted and it serves again.
//
// Two field managers own what we apply: ManagerModel the template, for which
// a version is made, and ManagerRoute the traffic. So a change of the route,
// a rollback above all, is one patch of the traffic that makes no revision.
//
// Traffic never goes to a revision that has not been ready. While one starts,
// the traffic stays where it is.
//
// # KServe
//
// With serve.runtime: kserve a model is an InferenceService named like the
// pipeline. KServe knows two versions: the newest, with canaryTrafficPercent,
// and the one that was rolled out before it. A rollback of a canary is
// canaryTrafficPercent: 0; one from the champion to the version before it is a
// version like any other to KServe, which loads it again.
//
// KServe emits no predictions. A step of a rollout there has no evidence,
// so on_deadline or a person decides.
package serving
