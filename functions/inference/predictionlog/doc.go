// Package predictionlog logs requests and answers: rows are gathered in
// memory, written to the local disk as Parquet, stored in the object store, and
// announced as predictions.logged. Requests do not wait for any of it.
//
// A batch on the disk is always emitted, if necessary by the next process,
// and takes effect once: its digest is the event's cause.
package predictionlog
