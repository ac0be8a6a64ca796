// Package ingest turns objects into partitions: it reads what was uploaded,
// runs the pipeline's prepare statement over it and writes canonical Parquet.
//
// It handles
//
//   - object.uploaded: the bytes become a partition (partition.ingested), labels
//     of what was predicted (labels.ingested), or a rejection that says what
//     cannot be read and what to do about it (partition.rejected);
//   - object.removed: the partition of the object leaves the dataset
//     (partition.removed);
//   - pipeline.configured: how many uploads were read under an earlier contract is
//     the record's reason;
//   - reingest.requested and reingest.progressed: kept uploads are read again, one
//     for each event (partition.ingested or partition.rejected, with the next
//     reingest.progressed);
//   - schedule.ticked with the action sweep: the pipeline's buckets are listed,
//     and what no notification told of is emitted as object.uploaded or
//     object.removed.
//
// # Delivery
//
// A handling depends on the newest upload of its key alone: an older one is
// superseded and emits nothing. A second delivery makes the same bytes,
// which the artifact store keeps once. Bytes that were ingested or rejected
// before under the same configuration are not read again, also when a second
// notification or a sweep tells of them. Labels are read again if some of
// them did not find their prediction, since it may have been logged since.
//
// What is wrong with the data is an answer, never a retry. Everything else (an
// unreachable bucket, a full disk) is an error that the runtime tries again.
// An object that is gone from its bucket when it is read is treated as removed.
//
// # Decisions
//
// A reingest is a chain of events: each step reads one upload and emits the
// next step in the same commit. So it has a lane of its own without a queue of its
// own, a kill repeats at most the step that was not committed, and each upload is
// read once. A step waits while new uploads are read or have just come. What is
// left to read is not a list but follows from the state: the uploads that were
// read under another contract, behind the one read last. So an upload that is
// replaced or removed meanwhile is left out, and a contract that changes again
// meanwhile rules the rest. Files of labels are not read again.
//
// With data.quarantine, rows that do not fit are set aside: those that cannot be
// read or converted, and those with a value that a column of the contract does
// not allow (values, min, max, and missing ones in a column without nulls). A
// share of missing values, and a check, are about the whole file and stay with
// validate. The bounds of the contract are held against what prepare returns; its
// rows are numbered as it returns them. Rows read and rows kept add up, or the
// upload fails: the independent counter of records still holds.
//
// In prepare, the relation dataset is the snapshot before without the object's
// own partition, so that a statement which leaves out rows that are there
// already can be run over a replaced upload.
//
// Labels keyed by [request_id, row] are joined with the newest logged
// prediction of that key, found by scanning the prediction log from its newest
// batch back until all are matched, as far as Config bounds it. Of several
// labels with one key the last counts; rows without a key or a label are left
// out, and the note counts both. Labelled rows that have all columns of the
// contract become a partition too: the features as they were served, every
// other column from the file. Labels keyed by columns that are features are
// joined in the same way with the newest prediction made for them, but do not
// join the dataset: that prediction need not be the one the label is about.
//
// A sweep emits at most 500 changes, since they are one commit, and a tick
// of its own for the rest.
package ingest
