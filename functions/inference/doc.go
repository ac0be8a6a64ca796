// Package inference is the function that answers predictions, over the Open
// Inference Protocol (REST and gRPC) and KServe's V1 protocol, and writes down
// what it answered.
//
// # Routes
//
// Every process that serves follows the event log by itself, so the function
// has no handlers and no trigger. One goroutine a pipeline brings its part of
// an immutable routing table to what the state says: each version in the route
// is loaded, checked against the contract and warmed up before the table
// points to it, and one that leaves the route is closed when the last request
// that holds it has ended. So a swap drops no request, and an answer is of one
// version. While a version does not load, the former route stays (metric
// millrace_inference_route_stale) and loading is tried again; at a start, where
// there is no former route, those serve that can.
//
// A version keeps the contract it was made under: of its run's configuration,
// or of one that ruled at another time. So a champion goes on when the
// pipeline's features have changed. Requests may carry columns of the pipeline
// that the version does not read; a name that nothing knows is a mistake.
//
// Requests wait for neither NATS nor the object store. The exception is a
// version that was approved, is in no route, and is asked for by its number:
// it is loaded then, and the ones unused longest are unloaded.
//
// A request goes to a version by x-millrace-key, else by its id, else at
// random; a key's place is a hash, the same in all processes, and the canary's
// keys at 10 % are among those at 50 %. A path (/versions/2) or the header
// x-millrace-version pins a version.
//
// # Requests and answers
//
// A request carries one tensor for each feature, [N] or [N, 1], of any
// datatype whose values keep their meaning in the column's type; or, when all
// features are numbers, one tensor [N, features]. Timestamps are microseconds
// since 1970, or RFC 3339 as BYTES. A missing value is null (or NaN, as
// Python's json writes it). What a column may contain is checked on uploads,
// not here: only types are. Bodies are decoded in one pass into memory that is
// used again; strings are views of the body.
//
// A tensor may also follow the JSON as bytes (the binary tensor extension), and
// then outputs may too; with the header Inference-Header-Content-Length: 0 the
// body is nothing but the values of the only input. FP16 and BF16 come that way
// only. NaN is a missing value there. Bodies may be compressed (gzip, deflate).
//
// gRPC is spoken on the same port, over HTTP/2 with prior knowledge or TLS: the
// service is a handler like any other, so that functions without gRPC do not
// link it, and what stands before the handlers (tokens, deadlines) stands
// before it too. ModelInfer is read from the wire straight into the columns,
// and written without the generated code; the other calls are a grpc.Server's.
// Messages may be compressed with gzip. Health can be watched. With
// MILLRACE_INFERENCE_GRPC gRPC also has a port of its own, where it is spoken by
// grpc's HTTP/2 and not by net/http's, which takes about twice the time of it. Limits are RESOURCE_EXHAUSTED, with
// when to come again (RetryInfo) or that a client need not. Answers are raw when the inputs were, typed otherwise. The metadata
// x-millrace-key, x-millrace-version and x-request-id mean what the headers do;
// mistakes have the same sentences. The generated code is in oip.
//
// The model repository extension says which versions are loaded in this process,
// and loads and unloads those that are in no route. It moves no traffic, so
// that a version with traffic stays: 409. All paths are described at
// /openapi.json.
//
// The outputs are named by the task, whatever the model calls them, so that a
// client goes on when a model is exported by another tool: label (BYTES [N])
// and probabilities ([N, classes]) of a classification, prediction ([N]) of a
// regression. The label is the class with the highest probability, as evaluate
// judges it, not the model's own label output. A value that is no number is
// written as null. Under V1 a prediction is an object of label and
// probabilities, or a number; version, route and id are in the headers
// x-millrace-version, x-millrace-route and x-request-id.
//
// # The prediction log
//
// A row of the log has request_id, row, time, version, route, the features,
// prediction (a class, or the value), score (the probability of the last class
// of two, of the predicted class of more, or the value) and latency_ms: from
// the body's arrival until the answer was written, so that slow clients do not
// count. Features that are called like one of these are left out, with a
// warning.
//
// Rows are gathered in memory, written as Parquet to the working folder, put
// into the object store and announced as predictions.logged, by goroutines that
// requests do not wait for. A batch that is on the disk is announced whatever
// happens, by the next process if need be, and once: its digest is the event's
// cause. Rows in memory (the last seconds) are lost at SIGKILL. Memory and disk
// are bounded; what does not fit is dropped and counted, and requests are
// answered all the same. Traffic is counted without sampling, and a batch
// without rows is announced with a note (JSON) in the place of the Parquet file.
//
// Requests that are wrong in themselves (4xx) are no version's traffic, except
// when a canary refuses one because it lacks a column that only the canary
// reads: clients that the champion served would fail, so it counts as an error.
//
// With serve.mirror, a share of the requests is asked once more, of the newest
// approved version that has no traffic yet: after the answer, one at a time,
// from a bounded queue; what does not fit is dropped and counted. Those answers
// go to nobody. They are logged with the route mirror in batches of their own,
// which say so (mirrored): they are no traffic, no evidence, and nothing that
// labels or drift are looked for in.
//
// Each batch says how many rows of each version had which score, as a sketch
// that is added up over batches, so that what is asked of scores needs no rows.
//
// # Feedback
//
// POST /v2/models/<m>/feedback takes labels by the key of the pipeline's labels.
// They are on the local disk when they are answered, and become an upload that
// the pipeline's label globs want: by rows or time, as the prediction log is
// cut, at the end, or by the next process. So ingest joins them as any others.
//
// # Limits
//
// Bytes, rows, nesting, the time a body may take, and the requests worked on at
// a time are bounded. A few more wait for a moment; the rest is answered 429
// with Retry-After.
//
// # Together
//
// Requests of one version that are there at the same time can go through the
// model in one run, each to its own answer. A request goes alone and at once
// while a processor is free; those that come while all of them run the model
// wait for the next run, which takes what is there. When a run fails, each goes
// alone, so that one that is at fault harms no other. A version is measured
// when it is loaded, with one made-up row and with eight: requests go together
// if a row in company costs less by 30 us and a fourth, which is what waiting
// and handing over cost. That is so for wide neural networks and not for
// boosted trees, of which ONNX Runtime does one row in 6 us. In the pipeline
// file serve.batch says otherwise: max_rows of 1 for never, more for always,
// max_wait for how long a request waits for others even when a processor is
// free. MILLRACE_INFERENCE_CONCURRENCY bounds how many can be there.
//
// # One process
//
// One process serves all pipelines; on a cluster the traffic split is Knative's.
package inference
