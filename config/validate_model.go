package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

func (c *checker) checkModel() {
	const path = "spec.model"
	m := c.Spec.Model
	if len(c.Spec.Data.Columns) == 0 {
		c.areDistinct(path+".features", m.Features)
	} else {
		if m.Label == "" {
			c.says(path+".label", "is missing: the column that is predicted")
		} else if col, ok := c.isColumn(path+".label", m.Label); ok {
			c.checkLabelColumn(path, col)
		}
		if len(m.Features) == 0 {
			c.says(path+".features", "is missing: the input columns of the model")
		}
		c.areColumns(path+".features", m.Features)
	}
	for i, name := range m.Features {
		if name == m.Label && name != "" {
			c.says(index(path+".features", i), "%q is the label, which a model must not see", name)
		}
		if slices.Contains(logColumns, name) {
			c.d.problem(index(path+".features", i), "give the column another name", nil, "%q is the name of a column that the prediction log adds", name)
		}
	}
	c.checkClasses(path+".classes", m)
	c.checkMissing(path+".missing", m)
	switch {
	case m.Activation != "" && m.Task == TaskRegression:
		c.says(path+".activation", "makes probabilities, and a regression has none")
	case m.Activation == "sigmoid" && m.Task == TaskMulticlass:
		c.d.problem(path+".activation", "use softmax", nil, "sigmoid is for one value a row, of two classes")
	}
}

// checkMissing checks that what stands for a missing value belongs to string
// features.
func (c *checker) checkMissing(path string, m Model) {
	for _, name := range slices.Sorted(maps.Keys(m.Missing)) {
		sub := join(path, name)
		col, _ := c.Column(name)
		switch {
		case !slices.Contains(m.Features, name):
			c.d.problem(sub, didYouMean(name, m.Features), m.Features, "%q is not one of model.features", name)
		case col.Type != "" && col.Type != TypeString:
			c.d.problem(sub, "", nil, "is for features of type string; a missing value of %s column is NaN for the model", aType(col.Type))
		case strings.ContainsRune(m.Missing[name], 0):
			c.says(sub, "has a zero byte, which models cannot take")
		}
	}
}

// logColumns lists the columns that the prediction log adds to the features.
var logColumns = []string{"request_id", "row", "time", "version", "route", "prediction", "score", "latency_ms"}

// checkLabelColumn checks that the label's type fits the task.
func (c *checker) checkLabelColumn(path string, col Column) {
	var fits []string
	switch c.Spec.Model.Task {
	case TaskBinary:
		fits = []string{TypeBool, TypeInt, TypeString}
	case TaskMulticlass:
		fits = []string{TypeInt, TypeString}
	case TaskRegression:
		fits = []string{TypeFloat, TypeInt}
	default:
		return
	}
	if !slices.Contains(fits, col.Type) {
		c.d.problem(path+".label", "", fits, "%q is %s column, which does not fit a %s", col.Name, aType(col.Type), c.Spec.Model.Task)
	}
}

func (c *checker) checkClasses(path string, m Model) {
	switch {
	case m.Task == TaskRegression && c.written(path):
		c.says(path, "are for classifications, but this is a regression")
		return
	case m.Task == TaskBinary && m.Classes != nil && len(m.Classes) != 2:
		c.says(path, "a binary classification has 2 classes, not %d", len(m.Classes))
	case m.Task == TaskMulticlass && m.Classes != nil && len(m.Classes) < 2:
		c.says(path, "a classification has at least 2 classes, not %d", len(m.Classes))
	}
	label, ok := c.Label()
	if !ok {
		c.areValues(path, m.Classes, "")
		return
	}
	c.areValues(path, m.Classes, label.Type)
	if len(label.Values) == 0 {
		return
	}
	for i, v := range m.Classes {
		if !slices.Contains(label.Values, v) {
			c.says(index(path, i), "%s is not a value of the label %q", v, label.Name)
		}
	}
	for _, v := range label.Values {
		if !slices.Contains(m.Classes, v) && m.Classes != nil {
			c.says(path, "lack %s, a value of the label %q", v, label.Name)
		}
	}
}

var (
	identifier     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretRef      = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/[-._a-zA-Z0-9]{1,253}$`)
	quantityText   = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?$`)
	resourceName   = regexp.MustCompile(`^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$`)
	knownResources = []string{"cpu", "memory", "ephemeral-storage", "storage"}
)

func (c *checker) checkTrain() {
	const path = "spec.train"
	t := c.Spec.Train
	if t == nil {
		return
	}
	if len(c.Spec.Data.Uploads) == 0 {
		c.says("spec.data.uploads", "is missing: a pipeline that trains needs data")
	}
	c.areDistinct(path+".on", t.On)
	for i, arg := range t.Command {
		sub := index(path+".command", i)
		if i == 0 && strings.TrimSpace(arg) == "" {
			c.says(sub, "must name a program")
		}
		for _, name := range placeholders(arg) {
			param, ok := strings.CutPrefix(name, "params.")
			known := slices.Sorted(maps.Keys(t.Params))
			switch _, set := t.Params[param]; {
			case !ok:
				c.d.problem(sub, "write {{params.NAME}}", nil, "{{%s}} is not a parameter", name)
			case !set:
				c.d.problem(sub, didYouMean(param, known), known, "{{%s}} is not a parameter of train.params", name)
			}
		}
	}
	if i := t.code(); i >= 0 && len(placeholders(t.Command[i])) > 0 {
		c.d.problem(index(path+".command", i), `have the trainer read MILLRACE_PARAMS, or pass the parameter behind the code: [sh, -c, 'train "$1"', sh, '{{params.x}}']`, nil,
			"is run as code, which a parameter must not be part of")
	}
	for name := range t.Params {
		if !identifier.MatchString(name) {
			c.says(join(path+".params", name), "is not a name of a parameter: letters, digits and _, not beginning with a digit")
		}
	}
	for name, value := range t.Env {
		sub := join(path+".env", name)
		switch {
		case !identifier.MatchString(name):
			c.says(sub, "is not a name of an environment variable: letters, digits and _, not beginning with a digit")
		case strings.HasPrefix(name, "MILLRACE_"):
			c.says(sub, "names that begin with MILLRACE_ are reserved")
		case value.Secret != "" && !secretRef.MatchString(value.Secret):
			c.says(sub, "%q is not a secret: write {secret: name/key}", value.Secret)
		case strings.ContainsRune(value.Value, 0):
			c.says(sub, "has a zero byte")
		}
	}
	if strings.ContainsAny(t.Image, " \t\n\r") {
		c.says(path+".image", "%q is not an image: it has a space", t.Image)
	}
	c.checkResources(path+".resources", t.Resources)
	for _, p := range PodProblems(t.Pod) {
		c.d.problem(p.Field, p.Hint, p.Allowed, "%s", p.Message)
	}
}

func (c *checker) checkResources(path string, resources map[string]Quantity) {
	for name, amount := range resources {
		sub := join(path, name)
		switch {
		case !resourceName.MatchString(name):
			c.says(sub, "is not a name of a Kubernetes resource")
		case !strings.Contains(name, "/") && !strings.HasPrefix(name, "hugepages-") && !slices.Contains(knownResources, name):
			c.d.problem(sub, didYouMean(name, knownResources), append(slices.Clone(knownResources), "vendor/name"), "is not a Kubernetes resource")
		case amount != "" && !quantityText.MatchString(string(amount)):
			c.d.problem(sub, "such as 500m, 2Gi or 1", nil, "%q is not an amount", amount)
		}
	}
}

func (c *checker) checkEvaluate() {
	const path = "spec.evaluate"
	e := c.Spec.Evaluate
	known := Metrics(c.Spec.Model.Task)
	for i, metric := range e.Metrics {
		c.isMetric(index(path+".metrics", i), metric, known)
	}
	c.areDistinct(path+".metrics", e.Metrics)
	for i, name := range e.Slices {
		sub := index(path+".slices", i)
		if col, ok := c.isColumn(sub, name); ok && (col.Type == TypeFloat || col.Type == TypeTimestamp) {
			c.says(sub, "%q is %s column, which has too many values for slices", name, aType(col.Type))
		}
	}
	c.areDistinct(path+".slices", e.Slices)
	if len(c.Spec.Data.Columns) == 0 && len(e.Gates) > 0 {
		c.says(path+".gates", "need a hold-out, and so data.uploads and data.columns")
	}
	for i, g := range e.Gates {
		c.checkGate(index(path+".gates", i), g, known)
	}
}

// isMetric checks that the task has the metric.
func (c *checker) isMetric(path, metric string, known []string) bool {
	if metric == "" || known == nil || slices.Contains(known, metric) {
		return metric != "" && known != nil
	}
	c.d.problem(path, didYouMean(metric, known), known, "%q is not a metric of a %s", metric, c.Spec.Model.Task)
	return false
}

func (c *checker) checkGate(path string, g Gate, known []string) {
	e := c.Spec.Evaluate
	if c.isMetric(join(path, "metric"), g.Metric, known) && !slices.Contains(e.Metrics, g.Metric) {
		c.d.problem(join(path, "metric"), "add it there", nil, "%q is not one of evaluate.metrics", g.Metric)
	}
	switch {
	case g.Min == nil && g.Max == nil && g.Champion == nil:
		c.says(path, "needs a bound: min, max or champion")
	case g.Min != nil && g.Max != nil && *g.Min > *g.Max:
		c.says(join(path, "max"), "%v is less than min, %v", *g.Max, *g.Min)
	}
	if g.Champion != nil && !Comparable(g.Metric) {
		c.says(join(path, "champion"), "models cannot be compared by %s, whose error is not known or which has no better side; use min and max", g.Metric)
	}
	if g.Confidence > 0 && g.Min == nil && g.Max == nil {
		c.says(join(path, "confidence"), "is for min and max; the comparison has champion.confidence")
	}
	if g.Confidence > 0 && (g.Metric == MetricMedianAE || g.Metric == MetricMaxError) {
		c.says(join(path, "confidence"), "the error of %s is not known, so that no bound has a confidence", g.Metric)
	}
	if g.Slice != "" && !slices.Contains(e.Slices, g.Slice) {
		c.d.problem(join(path, "slice"), didYouMean(g.Slice, e.Slices), e.Slices, "%q is not one of evaluate.slices", g.Slice)
	}
	if g.Slice == "" && g.MinRows != 0 {
		c.says(join(path, "min_rows"), "is for gates with a slice")
	}
}

func (c *checker) checkPromote() {
	const path = "spec.promote"
	r := c.Spec.Promote
	if r.Strategy == StrategyDirect {
		for _, name := range []string{"steps", "advance", "on_deadline", "guardrails", "alpha"} {
			if sub := join(path, name); c.written(sub) {
				c.d.problem(sub, "strategy: canary", nil, "is for a canary, but the strategy is direct")
			}
		}
		return
	}
	for i, step := range r.Steps {
		switch {
		case i > 0 && step <= r.Steps[i-1]:
			c.says(index(path+".steps", i), "%d is not more than the previous step, %d", step, r.Steps[i-1])
		case i == len(r.Steps)-1 && step != 100:
			c.says(index(path+".steps", i), "the last step is %d and must be 100", step)
		}
	}
	for i, g := range r.Guardrails {
		sub := index(path+".guardrails", i)
		switch {
		case g.Min == nil && g.Max == nil && g.Champion == nil:
			c.says(sub, "needs a bound: min, max or champion")
		case g.Min != nil && g.Max != nil && *g.Min > *g.Max:
			c.says(join(sub, "max"), "%v is less than min, %v", *g.Max, *g.Min)
		case g.Max != nil && *g.Max < 0:
			c.says(join(sub, "max"), "%v is less than 0, but %s never is", *g.Max, g.Metric)
		case g.Champion != nil && g.Metric == GuardrailErrorRate && g.Champion.Ratio != nil:
			c.d.problem(join(sub, "champion.ratio"), "champion: {margin: 0.01}", nil, "is for latencies; %s takes a margin", g.Metric)
		case g.Champion != nil && g.Metric != GuardrailErrorRate && g.Champion.Margin != nil:
			c.d.problem(join(sub, "champion.margin"), "champion: {ratio: 1.2}", nil, "is for error_rate; %s takes a ratio", g.Metric)
		}
		if g.Metric == GuardrailErrorRate && (g.Max != nil && *g.Max >= 1 || g.Min != nil && *g.Min > 1) {
			c.says(sub, "an error rate is at most 1, so that this limit says nothing")
		}
	}
}
