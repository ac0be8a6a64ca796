package config

import "slices"

// The metrics a model is judged by.
const (
	MetricROCAUC    = "roc_auc"
	MetricPRAUC     = "pr_auc"
	MetricLogLoss   = "log_loss"
	MetricAccuracy  = "accuracy"
	MetricPrecision = "precision"
	MetricRecall    = "recall"
	MetricF1        = "f1"
	MetricMacroF1   = "macro_f1"
	MetricBrier     = "brier"
	MetricRMSE      = "rmse"
	MetricMAE       = "mae"
	MetricR2        = "r2"
	MetricMAPE      = "mape"
)

// Metrics returns the metrics that a task knows, the usual first.
func Metrics(task string) []string {
	switch task {
	case TaskBinary:
		return []string{MetricROCAUC, MetricLogLoss, MetricAccuracy, MetricPrecision, MetricRecall, MetricF1, MetricBrier, MetricPRAUC}
	case TaskMulticlass:
		return []string{MetricAccuracy, MetricLogLoss, MetricMacroF1}
	case TaskRegression:
		return []string{MetricRMSE, MetricMAE, MetricR2, MetricMAPE}
	}
	return nil
}

// usualMetrics is how many of Metrics are measured when evaluate.metrics is
// not written.
const usualMetrics = 3

// LowerIsBetter reports whether a smaller value of the metric is the better one.
func LowerIsBetter(metric string) bool {
	return slices.Contains([]string{MetricLogLoss, MetricBrier, MetricRMSE, MetricMAE, MetricMAPE}, metric)
}
