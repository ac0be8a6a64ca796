package config

import "slices"

// The metrics of an evaluation.
const (
	MetricROCAUC             = "roc_auc"
	MetricPRAUC              = "pr_auc"
	MetricLogLoss            = "log_loss"
	MetricAccuracy           = "accuracy"
	MetricBalancedAccuracy   = "balanced_accuracy"
	MetricPrecision          = "precision"
	MetricRecall             = "recall"
	MetricSpecificity        = "specificity"
	MetricF1                 = "f1"
	MetricF2                 = "f2"
	MetricFHalf              = "f0.5"
	MetricJaccard            = "jaccard"
	MetricMacroF1            = "macro_f1"
	MetricMCC                = "mcc"
	MetricKappa              = "kappa"
	MetricKappaQuadratic     = "kappa_quadratic"
	MetricHamming            = "hamming"
	MetricGini               = "gini"
	MetricKS                 = "ks"
	MetricBrier              = "brier"
	MetricECE                = "ece"
	MetricECEEqualCount      = "ece_equal_count"
	MetricTop2Accuracy       = "top_2_accuracy"
	MetricTop3Accuracy       = "top_3_accuracy"
	MetricTop5Accuracy       = "top_5_accuracy"
	MetricROCAUCMacro        = "roc_auc_ovr_macro"
	MetricROCAUCWeighted     = "roc_auc_ovr_weighted"
	MetricROCAUCOneVersusOne = "roc_auc_ovo_macro"
	MetricRMSE               = "rmse"
	MetricMSE                = "mse"
	MetricMAE                = "mae"
	MetricMedianAE           = "median_ae"
	MetricMaxError           = "max_error"
	MetricMeanError          = "mean_error"
	MetricR2                 = "r2"
	MetricExplainedVariance  = "explained_variance"
	MetricMAPE               = "mape"
	MetricRMSLE              = "rmsle"
	MetricPoissonDeviance    = "poisson_deviance"
	MetricPinball10          = "pinball_0.1"
	MetricPinball50          = "pinball_0.5"
	MetricPinball90          = "pinball_0.9"
)

// averaged are the metrics of a class that have a mean over the classes, named
// macro_, micro_ and weighted_ before it.
var averaged = []string{MetricPrecision, MetricRecall, MetricF1, MetricF2, MetricFHalf, MetricJaccard}

// Metrics returns the metrics of a task, the default ones first.
func Metrics(task string) []string {
	switch task {
	case TaskBinary:
		return append([]string{
			MetricROCAUC, MetricLogLoss, MetricAccuracy, MetricPrecision, MetricRecall, MetricF1, MetricBrier, MetricPRAUC,
			MetricBalancedAccuracy, MetricSpecificity, MetricF2, MetricFHalf, MetricJaccard, MetricMCC, MetricKappa, MetricHamming, MetricGini, MetricKS,
			MetricECE, MetricECEEqualCount,
		}, averages("macro_", "weighted_")...)
	case TaskMulticlass:
		return append([]string{
			MetricAccuracy, MetricLogLoss, MetricMacroF1, MetricBrier, MetricBalancedAccuracy, MetricMCC, MetricKappa, MetricKappaQuadratic, MetricHamming,
			MetricTop2Accuracy, MetricTop3Accuracy, MetricTop5Accuracy, MetricROCAUCMacro, MetricROCAUCWeighted, MetricROCAUCOneVersusOne,
		}, slices.DeleteFunc(averages("macro_", "micro_", "weighted_"), func(name string) bool { return name == MetricMacroF1 })...)
	case TaskRegression:
		return []string{
			MetricRMSE, MetricMAE, MetricR2, MetricMAPE, MetricMSE, MetricMedianAE, MetricMaxError, MetricMeanError, MetricExplainedVariance, MetricRMSLE,
			MetricPoissonDeviance, MetricPinball10, MetricPinball50, MetricPinball90,
		}
	}
	return nil
}

func averages(prefixes ...string) []string {
	var names []string
	for _, prefix := range prefixes {
		for _, name := range averaged {
			names = append(names, prefix+name)
		}
	}
	return names
}

// usualMetrics is how many of Metrics are computed by default.
const usualMetrics = 3

// LowerIsBetter reports whether a smaller value of the metric is the better one.
func LowerIsBetter(metric string) bool {
	return slices.Contains([]string{
		MetricLogLoss, MetricBrier, MetricHamming, MetricECE, MetricECEEqualCount, MetricRMSE, MetricMSE, MetricMAE, MetricMedianAE, MetricMaxError,
		MetricMAPE, MetricRMSLE, MetricPoissonDeviance, MetricPinball10, MetricPinball50, MetricPinball90,
	}, metric)
}

// Comparable reports whether models can be compared by the metric: mean_error
// has no better side, and the error of median_ae and max_error is not known.
func Comparable(metric string) bool {
	return !slices.Contains([]string{MetricMeanError, MetricMedianAE, MetricMaxError}, metric)
}
