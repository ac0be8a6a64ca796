// Package validate decides what belongs to the dataset: it measures each new
// partition, checks it against the pipeline's contract, compares it with the
// dataset it would join, and makes the next snapshot.
//
// It subscribes to
//
//   - partition.ingested: the partition passes (dataset.validated, with warnings
//     where it differs from the rest of the dataset) or does not
//     (partition.rejected, with every broken check at once, counts and example
//     rows);
//   - partition.removed: the snapshot without it (dataset.validated);
//   - schedule.ticked with the action freshness, which the gateway logs when the
//     data of data.expect is due: dataset.late, once until data joins the dataset.
//
// # The snapshot
//
// A snapshot is all valid partitions in the order in which their objects were
// first seen, whatever the order in which they were validated; a partition that
// replaces another one takes its place. Its digest is computed from the
// partitions' digests in that order, so that the same data is the same
// snapshot. The dataset without its last partition is a snapshot of 0
// partitions and 0 rows.
//
// Every dataset.validated is guarded by the dataset: of two concurrent
// validations one is decided again, on the snapshot of the other.
//
// # Keys across partitions
//
// For a check unique with across: dataset the partition's keys are looked up in
// an index of the dataset's (package keyindex), which dataset.validated refers
// to. What the index lacks, such as partitions that are older than the check, is
// added to it from the partitions' files. Rows of the partition that is replaced
// do not count, nor do rows with a null in the key. Files of the index that no
// snapshot refers to any more stay in the artifact store.
//
// With data.key the partitions keep all rows, and the same index counts those that
// a newer row supersedes; train-launcher leaves them out when it splits the
// snapshot. The snapshot's profile and the table dataset of prepare have them.
//
// Without either, the index has whole rows, a sample of large partitions, and a
// partition that has rows in common with another one gets a warning.
//
// # Delivery
//
// A partition that was superseded, removed or is in the dataset already
// announces nothing. Results that a second delivery or decision needs are
// cached: profiles by digest in the artifact store, and findings by partition
// and configuration in the function's folder, which may be deleted at any time.
//
// # Decisions
//
// A partition is rejected if a column has another type than in the rest of the
// dataset, even if the contract does not list the column: neither a profile nor
// a trainer can use both. It is also rejected beyond the bounds of data.compare.
// All other differences are warnings. A PSI that chance explains once in ten
// thousand times is within its bound, so small partitions need no other rule.
//
// A rejection whose problems take more than 200 KiB lists the first hundred with
// fewer examples, and refers to the whole. An example of a wide table shows the
// first fifty columns and the one that the problem is about.
//
// Equal rows under two names are two partitions, with a warning.
//
// A removal that finds no partition while its validation may be under way
// announces the snapshot as it is, which moves the guard: that validation is
// decided again and finds the object removed.
//
// Partitions in the dataset are not checked against a contract that changed
// later: a new configuration applies to later partitions. `millrace reingest`
// reads the kept uploads again, and so has them validated again.
package validate
