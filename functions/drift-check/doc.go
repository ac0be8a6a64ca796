// Package driftcheck compares what is served with what was trained on.
//
// It hears
//
//   - predictions.logged: when monitor.every.rows rows have been answered since
//     the last check, the features and the predictions of all batches since then
//     are compared with those of the champion's training;
//   - schedule.ticked with the action drift-check: the same, before there are so
//     many rows (but not below [minValues], which holds for both);
//   - labels.ingested: what the champion answered is measured against the
//     labels that came for it,
//
// and announces drift.checked, or drift.detected with the action that the
// pipeline wants (monitor.on_drift).
//
// # Delivery
//
// Most batches are too few for a check: then one number of the state is looked
// at and nothing is read. A check hangs on the batches that no check has seen
// (guarded by the noun drift): of two deliveries that come at the same time one
// checks, and the other finds nothing left to do. "Now" is the time of the
// handled event, so that the same event always leads to the same decision.
//
// # Decisions
//
// A feature's reference is the profile of the rows the champion was trained
// on; for a champion that no run made, the profile of the dataset. The
// prediction's is what evaluate found the champion to answer over its hold-out.
// Features are compared over all rows, whichever version answered them; the
// prediction over the champion's.
//
// The tests are those of package table, and drift is what monitor.drift says:
// a PSI above the threshold or a KS p-value below p_value. A PSI must also be
// beyond chance, since it grows with the number of bins by the number of rows:
// without drift it is (1/n+1/m) times chi-squared of bins-1 degrees of freedom
// (Yurdakul 2018), of which the 99.99 % quantile must be exceeded. A p-value
// knows chance, but no size: with many rows KS tells of differences that matter
// to nobody, so psi is the default. The prediction of a multiclass model is
// compared by class under psi, by the predicted class's probability under ks.
//
// Neither test sees missing values, so their share is tested too, as a PSI of
// two bins. A feature that is there in the training data and never in what is
// served has drifted. A column with fewer than [minValues] values on either
// side is not judged.
//
// Quality is told and decides nothing. It is measured with
// millrace.dev/shared/metric on the joined rows of one file of labels; the
// prediction log holds no probabilities of other classes, so that a multiclass
// model has no log_loss there.
package driftcheck
