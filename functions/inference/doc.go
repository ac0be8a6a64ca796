// Package inference is the function that answers predictions, over the Open
// Inference Protocol (REST and gRPC) and KServe's V1 protocol, and logs its
// answers.
//
// # Routes
//
// Every process that serves follows the event log by itself, so the function
// has no handlers and no trigger. One goroutine per pipeline updates its part
// of an immutable routing table to the state: each version in the route is
// loaded, checked against the contract and warmed up before the table points to
// it, and one that leaves the route is closed when the last request that uses
// it has ended. So a swap drops no request, and an answer comes from one
// version. While a version does not load, the former route stays (metric
// millrace_inference_route_stale) and loading is tried again; at a start, where
// there is no former route, those serve that can.
//
// A version keeps the contract it was made under: of its run's configuration,
// or of one that ruled at another time. So a champion still serves after the
// pipeline's features have changed. Requests may carry columns of the pipeline
// that the version does not read; an unknown name is an error.
//
// Requests wait for neither NATS nor the object store. The exception is an
// approved version that is in no route and is requested by its number: it is
// loaded then, and the ones unused longest are unloaded.
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
// gRPC shares the port, over HTTP/2 with prior knowledge or TLS: the service is a
// handler like any other, so that functions without gRPC do not link it, and
// tokens and deadlines apply to it too. ModelInfer is read from the wire straight
// into the columns and written without the generated code; the other calls are a
// grpc.Server's. Messages may be compressed with gzip. Health can be watched.
// MILLRACE_INFERENCE_GRPC adds a port served by grpc-go's own HTTP/2 stack, about
// twice as fast as net/http's. Exceeded limits are RESOURCE_EXHAUSTED, with
// RetryInfo if another attempt can succeed. Answers are raw if the inputs were,
// typed otherwise. The metadata x-millrace-key, x-millrace-version and
// x-request-id mean what the headers do; errors have the same sentences.
//
// The model repository extension says which versions are loaded in this process,
// and loads and unloads those that are in no route. It moves no traffic, so
// that a version with traffic stays: 409. All paths are described at
// /openapi.json.
//
// The outputs are named by the task, not by the model, so that a client keeps
// working when a model is exported by another tool: label (BYTES [N]) and
// probabilities ([N, classes]) of a classification, prediction ([N]) of a
// regression. The label is the class with the highest probability, as in
// evaluate, not the model's own label output. NaN and infinite values are
// written as null, and such a row has no label: it is named in
// parameters.errors, counted (millrace_inference_undefined_rows_total) and
// logged without a prediction. A request with only such rows counts as an error
// of the version. With serve.on_nan: error a request with such a row is
// answered 422. Under V1 a prediction is an object of label and probabilities,
// or a number; version, route and id are in the headers x-millrace-version,
// x-millrace-route and x-request-id.
//
// # Values
//
// A value has to be one of its column's type, as in an upload: an int has 64
// bits, a float too (a decimal is rounded to the nearest; a whole number with
// more digits than that is refused), infinity is refused, and NaN is a missing
// value. Where data.columns allows no missing value (nulls: 0) a request
// without one is answered 400, with all such rows and columns. What a missing
// value is for the model is the trainer's contract: NaN for a number, for a
// string model.missing; see functions/train-launcher.
//
// A number goes into the model as the nearest that its input holds, as the
// trainer's conversion to float32 has it: 0.1 and the whole number 16,777,217
// are rounded for FP32. evaluate notes it when whole numbers of the hold-out
// are. A number that would become infinite (1e308 for FP32) is answered 400; in
// the hold-out it is a rejection.
//
// Parameters of the protocol that would change what a request means are
// refused unless they are followed: content_type other than np, pd, str and
// datetime, classification, sequence_id, shared_memory_region. Others are sent
// back.
//
// # The prediction log
//
// A row of the log has request_id, row, time, version, route, the features,
// prediction (a class, or the value), score (the probability of the last class
// of two, of the predicted class of more, or the value) and latency_ms: from
// the body's arrival until the answer was written, so that slow clients do not
// count. Features with one of these names are left out, with a
// warning.
//
// Rows are gathered in memory, written as Parquet to the working folder, put
// into the object store and emitted as predictions.logged, by goroutines that
// requests do not wait for. A batch on the disk is always emitted, if
// necessary by the next process, and only once: its digest is the event's
// cause. Rows in memory (the last seconds) are lost at SIGKILL. Memory and disk
// are bounded; what does not fit is dropped and counted, and requests are
// answered regardless. Traffic is counted without sampling, and a batch without
// rows is emitted with a note (JSON) instead of the Parquet file.
//
// Invalid requests (4xx) are not counted as a version's traffic, except
// when a canary refuses one because it lacks a column that only the canary
// reads: clients that the champion served would fail, so it counts as an error.
//
// With serve.mirror, a share of the requests is repeated to the newest approved
// version that has no traffic yet: after the answer, one at a time, from a
// bounded queue; what does not fit is dropped and counted. Those answers are
// discarded. They are logged with the route mirror in batches of their own,
// marked as mirrored: they do not count as traffic or evidence, and are not
// used for labels or drift.
//
// Each batch has the distribution of the scores of each version, as a sketch
// that can be merged over batches, so that questions about scores need no rows.
//
// # Feedback
//
// POST /v2/models/<m>/feedback takes labels by the key of the pipeline's
// labels. They are on the local disk before the request is answered, and become
// an upload that matches the pipeline's label globs: by rows or time like the
// prediction log, at the end, or by the next process. So ingest joins them as
// any others.
//
// # HTTP
//
// Bodies are JSON in UTF-8, with or without a byte order mark; another charset
// is answered 415. They may be compressed by gzip or deflate, as
// Content-Encoding says in the words of RFC 9110; other encodings are answered
// 415. Answers from 16 KiB are compressed for clients that ask for it. A method
// that a path does not take is answered 405 with Allow.
//
// # Limits
//
// Bytes, rows, nesting, the time a body may take, and the requests for a model
// that are worked on at a time are bounded. A few more wait for a moment; the
// others are answered 429 with Retry-After. The limits of one model leave the
// others alone: serve.concurrency, serve.queue and serve.timeout in the pipeline
// file.
//
// A run of a model is ended when its client has gone, at the call's deadline and
// after serve.timeout; the last is answered 504 and is an error of the version.
// ONNX Runtime looks between two operators whether it should stop. A model whose
// run does not stop, or which has answered nothing for longer than serve.timeout
// while all its slots are taken, is not ready.
//
// # Dynamic batching
//
// Requests of one version that arrive at the same time can share one run of the
// model. A request runs unbatched at once while a processor is free; requests
// that arrive while all processors run the model wait for the next run, which
// takes all that fit. When a run fails, each of its requests runs unbatched, so
// that one bad request does not fail the others. A version is measured when it
// is loaded, with one made-up row and with eight: batching is enabled if it saves
// at least 30 µs and 25 % a row, the cost of queueing. Wide neural networks gain,
// boosted trees do not (ONNX Runtime scores a row in 6 µs). serve.batch in the
// pipeline file overrides the measurement: max_rows of 1 disables batching, more
// enables it, and max_wait is how long a request waits for others even while a
// processor is free. MILLRACE_INFERENCE_CONCURRENCY bounds how many can wait.
//
// # One process
//
// One process serves all pipelines; on a cluster the traffic split is Knative's.
package inference
