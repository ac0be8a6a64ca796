// Package metric measures how well a model's answers fit the labels, with the
// uncertainty of what it measures.
//
// The definitions are those of scikit-learn, down to ties and to what happens
// at zero:
//
//	roc_auc    roc_auc_score: the area under the ROC curve; ties count half
//	pr_auc     average_precision_score: the mean precision over the positives, not interpolated
//	log_loss   log_loss: natural logarithm, probabilities clipped to [eps, 1-eps] (Eps)
//	brier      brier_score_loss
//	accuracy   accuracy_score
//	precision, recall, f1    of the positive class; 0 where the denominator is 0
//	macro_f1   f1_score(average="macro"): the mean over the classes among labels or predictions
//	rmse, mae  root_mean_squared_error, mean_absolute_error
//	r2         r2_score: for constant labels 1 if all are met, else 0
//	mape       mean_absolute_percentage_error: a fraction; |label| counts as 2^-52 where it is less
//
// A binary classifier predicts its last class, the positive one, where that
// class's probability is above one half: at one half exactly the first class
// wins, as with argmax.
//
// # Uncertainty
//
// Every metric here is a smooth function of means over rows, so a row's
// influence on it is known in closed form, and the metric's variance is the sum
// of squared influences over n². For roc_auc that is DeLong's variance
// (DeLong, DeLong and Clarke-Pearson 1988, in the n log n form of Sun and Xu
// 2014); for the means it is the standard error; for the others it is the
// infinitesimal jackknife (Efron 1982), to which the bootstrap tends as the
// number of resamples grows. Two models on the same rows are compared row by
// row: the variance of the difference is that of the difference of influences,
// so what makes a row hard for both models cancels.
//
// We chose this over resampling: it is one pass over the rows instead of
// hundreds, it needs no seed, and the same rows always give the same bounds.
// What we gave up: intervals are symmetric before they are cut at the metric's
// limits, and a model without a single error has an interval of no width.
package metric
