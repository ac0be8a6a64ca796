// Package evaluate evaluates new model versions: it runs the version and the champion over the same hold-out, measures both
// with their uncertainty, on all rows and slice by slice, and applies the pipeline's gates.
//
// It subscribes to
//
//   - training.completed: the run's version is evaluated on the hold-out that its trainer never saw;
//   - model.registered: a model trained elsewhere is evaluated on the hold-out of the newest run, since it has none of its
//     own;
//   - evaluation.requested: a version is evaluated again, on its hold-out, under the current gates and against the current
//     champion,
//
// and emits model.approved or model.rejected, with a verdict for each gate: value, bound and reason. All gates are always
// applied.
//
// # Delivery
//
// The same version, champion, hold-out and configuration give the same evaluation, bit for bit: nothing in it is random or
// depends on the clock. The result is cached under these four in the function's folder and the artifact store, so a second
// delivery reads it; the folder may be deleted at any time. Evaluations run one at a time, since each holds the scores of a
// hold-out in memory: per row 8 to 12 bytes for each model, 4 for each slice column, and some 40 while a metric is measured.
//
// # Decisions
//
// A new model is probed in a subprocess before this process loads it, since ONNX Runtime trusts the model and a bad one can
// crash it. A fault of the model is a rejection with a reason; a fault of the installation is an error, which the runtime
// retries.
//
// If the trainer left its own answers to some of its rows (predictions.parquet), the model answers the same rows first, and a
// difference beyond 1e-4 is a rejection: the exported model is not the trained one. The rows are those of the train part, so
// what the trainer did to them before its model shows. At most 20,000 rows are compared.
//
// Metrics are those of scikit-learn. Their uncertainty is DeLong's for roc_auc and the infinitesimal jackknife for the rest:
// see millrace.dev/shared/metric. Bounds of values are two-sided. A champion gate is a test of non-inferiority: it passes
// when, with the gate's confidence (one-sided), the new model is not worse than the champion by more than the margin. Both
// models answer the same rows, so the comparison is paired. What the evidence does not show does not pass, and the verdict
// then says that there is too little evidence, not that the model is bad.
//
// A champion gate passes when there is no champion, and when the champion cannot run on this hold-out, for example because
// its features are gone: a champion that could not serve today's data must not keep out every successor. The verdict says
// so, and the gates with bounds still apply.
//
// Rows without a label are left out. A label that is not one of the classes counts as wrong in a multiclass hold-out, and is
// left out in a binary one. Slices are the values of a column, the [maxSlices] with most rows. A metric without a value
// (roc_auc where all labels are equal) fails a gate on all rows, and leaves a slice without a verdict.
package evaluate
