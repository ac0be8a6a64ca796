// Package validate decides what belongs to the dataset: it measures each new
// partition, holds it against the pipeline's contract, compares it with the
// dataset it would join, and makes the next snapshot.
//
// It hears
//
//   - partition.ingested: the partition passes (dataset.validated, with warnings
//     where it differs from the rest of the dataset) or does not
//     (partition.rejected, with every broken check at once, counts and example
//     rows);
//   - partition.removed: the snapshot without it (dataset.validated).
//
// # The snapshot
//
// A snapshot is all valid partitions in the order in which their objects were
// first seen, whatever the order in which they were validated; a partition that
// replaces another one takes its place. Its digest is made of the partitions'
// digests in that order, so that the same data is the same snapshot. The
// dataset without its last partition is a snapshot of 0 partitions and 0 rows.
//
// Every dataset.validated is guarded by the dataset: of two validations at a
// time one is decided again, over the snapshot that the other one made.
//
// # Delivery
//
// A partition that was superseded, removed or is in the dataset already
// announces nothing. What a second delivery, or a second decision, would have
// to compute again is kept: profiles by digest in the artifact store, and what
// a partition was found to be, by partition and configuration, in the
// function's folder, which may be deleted at any time.
//
// # Decisions
//
// A partition of which a column has another type than in the rest of the
// dataset is rejected, also where the contract does not list the column: no
// profile and no trainer could make sense of both. Everything else that a
// comparison finds is a warning.
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
// Partitions that are in the dataset are not held against a contract that
// changed later: a new configuration rules what comes after it. To have a
// partition judged again, upload its object again.
package validate
