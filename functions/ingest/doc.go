// Package ingest turns objects into partitions: it reads what was uploaded,
// runs the pipeline's prepare statement over it and writes canonical Parquet.
//
// It hears
//
//   - object.uploaded: the bytes become a partition (partition.ingested), labels
//     of what was predicted (labels.ingested), or a rejection that says what
//     cannot be read and what to do about it (partition.rejected);
//   - object.removed: the partition of the object leaves the dataset
//     (partition.removed);
//   - schedule.ticked with the action sweep: the pipeline's buckets are listed,
//     and what no notification told of is announced as object.uploaded or
//     object.removed.
//
// # Delivery
//
// A handling depends on the newest upload of its key alone: an older one is
// superseded and announces nothing. A second delivery makes the same bytes,
// which the artifact store keeps once. Bytes that were ingested or rejected
// before under the same configuration are not read again, also when a second
// notification or a sweep tells of them; labels of which some did not find
// their prediction are, since it may have been logged since.
//
// What is wrong with the data is an answer, never a retry. Everything else (an
// unreachable bucket, a full disk) is an error that the runtime tries again.
// An object that is gone from its bucket when it is read is treated as removed.
//
// # Decisions
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
// A sweep announces at most 500 changes, since they are one commit, and a tick
// of its own for the rest.
package ingest
