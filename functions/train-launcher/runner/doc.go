// Package runner carries out one run of a trainer: it prepares a folder, runs
// the trainer's command there under limits, keeps its output, tries again
// where that makes sense, and leaves a result.
//
// It is a process of its own (cmd/runner, static, standard library only), so
// that a run outlives the process that started it. The two share only the run's [Folder]:
//
//	job.json       what to do, written by the launcher
//	lock           held by the runner as long as it lives
//	attempts.json  how many attempts there were, and since when
//	data/          the train part, Parquet files; the trainer may do with them what it likes
//	output/        what the trainer leaves
//	metrics.jsonl  the metrics that the trainer appends
//	log            the trainer's output, bounded: its beginning and its end
//	result.json    how it ended; appears whole, as the last thing
//	told           in a pod: the sidecar has uploaded the output and reported the end
//
// Starting a runner is idempotent: of several in one folder one gets the lock
// and the others end at once, and so does one that finds a result. A runner
// that finds attempts of a runner that died kills what is left of them (their
// environment names the folder), counts them as failed and continues. So a
// launcher has one rule: if there is no result and the lock is free, start a
// runner.
package runner
