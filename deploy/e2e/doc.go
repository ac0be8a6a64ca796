// Package e2e proves the whole chain, from an upload to the next model, as its
// users see it. It has tests only.
//
// A test speaks to a running system by HTTP and nothing else: uploads, events,
// /api, predictions. So the same tests hold for a system in this process, for
// one over an external NATS server, and, with MILLRACE_SERVER, for one that
// runs elsewhere, is new and has the pipelines that TestWritePipelines writes.
//
// Package env starts, kills and follows systems, package tumours has pipelines
// and data for them. In the end package crashtest/checker reads what a system has
// left behind and says where a promise was broken.
package e2e
