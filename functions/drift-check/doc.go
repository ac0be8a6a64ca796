// Package driftcheck compares what is served with what the champion was trained on.
//
// It subscribes to
//
//   - predictions.logged: once monitor.every.rows rows have been answered since the last check, the features and the
//     predictions of all batches since then are compared with those of the champion's training;
//   - schedule.ticked with the action drift-check: the same check, without waiting for that many rows (but never with fewer
//     than [minValues]);
//   - labels.ingested: the champion's answers are measured against the labels that arrived for them,
//
// and emits drift.checked, or drift.detected with the action that the pipeline configures (monitor.on_drift).
//
// # Delivery
//
// Most batches are too few for a check: then one number of the state is looked at and nothing is read. A check depends on
// the batches that no check has seen (guarded by the noun drift): of two concurrent deliveries one checks, and the other
// finds nothing left to do. "Now" is the time of the handled event, so the same event always leads to the same decision.
//
// # Decisions
//
// A feature's reference is the profile of the rows that the champion was trained on; for a champion without a run, the
// profile of the dataset. The prediction's reference is what the champion answered on its hold-out, as recorded by evaluate.
// Features are compared over all rows, whichever version answered them, and the prediction over the champion's rows.
//
// The tests are those of package table, and monitor.drift says what counts as drift: a PSI above the threshold, or a KS
// p-value below p_value. A PSI must also be beyond chance, since it grows with the number of bins divided by the number of
// rows: without drift it is (1/n+1/m) times chi-squared with bins-1 degrees of freedom (Yurdakul 2018), and its 99.99 %
// quantile must be exceeded. A p-value accounts for chance but not for size: with many rows KS finds differences that do not
// matter, so psi is the default. The prediction of a multiclass model is compared by class under psi, and by the probability
// of the predicted class under ks.
//
// Neither test counts missing values, so their share is tested too, as a PSI of two bins. A feature that the training data
// has and the served rows never have has drifted. A column with fewer than [minValues] values on either side is not tested.
//
// Quality is reported and decides nothing. It is measured with millrace.dev/shared/metric on the joined rows of one file of
// labels. The prediction log does not hold the probabilities of other classes, so a multiclass model has no log_loss there.
package driftcheck
