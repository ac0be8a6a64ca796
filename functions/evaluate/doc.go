// Package evaluate judges new model versions: it runs the version and the
// champion over the same hold-out, measures both with their uncertainty, whole
// and slice by slice, and applies the pipeline's gates.
//
// It hears
//
//   - training.completed: the version that came of a run is judged on the
//     hold-out that its trainer never saw;
//   - model.registered: a model trained elsewhere is judged on the hold-out of
//     the newest run, since it has none of its own;
//   - evaluation.requested: a version is judged again, on its hold-out, under
//     the gates and against the champion of now,
//
// and announces model.approved or model.rejected, with a verdict for each gate
// that says value, bound and reason. All gates are always applied.
//
// # Delivery
//
// The same version, champion, hold-out and configuration give the same
// evaluation, bit for bit: nothing in it is random and it does not look at the
// clock. What was computed is kept by these four in the function's folder and
// the artifact store, so that a second delivery reads it instead; the folder
// may be deleted at any time. Evaluations run one at a time, since each holds
// the scores of a hold-out in memory: per row 8 to 12 bytes a model, 4 a
// column of slices, and some 40 while a metric is measured.
//
// # Decisions
//
// A model is probed in a process of its own before this one loads it, since
// ONNX Runtime trusts the model and can be brought down by one. What is wrong
// with a model is a rejection in words; what is wrong with the installation is
// an error that the runtime tries again.
//
// Metrics are scikit-learn's; their uncertainty is DeLong's for roc_auc and the
// infinitesimal jackknife for the rest: see millrace.dev/shared/metric. Bounds
// of values are two-sided. A champion gate is a test of non-inferiority: it
// passes when, with the gate's confidence (one-sided), the new model is not
// worse than the champion by more than the margin. Both models answer the same
// rows, so that the comparison is paired. What the evidence does not show does
// not pass, and the verdict says that the evidence is short rather than the
// model bad.
//
// A champion gate passes when there is no champion, and when the champion
// cannot answer this hold-out (its features are gone, say): a champion that
// could not serve today's data either must not keep every successor out. The
// verdict says so, and the gates with bounds still hold.
//
// Rows without a label are left out. A label that is none of the classes is a
// miss in a multiclass hold-out, and left out in a binary one. Slices are the
// values of a column, the [maxSlices] with most rows of them. A metric that
// has no value (roc_auc where all labels are equal) fails a gate on the whole
// and leaves a slice unjudged.
package evaluate
