package config

import "slices"

// checkBounds finds values that other bounds of the same file do not allow.
func (c *checker) checkBounds() {
	for _, name := range c.columnNames() {
		col := c.Spec.Data.Columns[name]
		path := join(columns, name)
		for i, v := range col.Values {
			c.isWithin(index(path+".values", i), v, col)
		}
		if col.Default == nil {
			continue
		}
		v := col.Default.as(col.Type)
		c.isWithin(join(path, "default"), v, col)
		if len(col.Values) > 0 && !slices.Contains(col.Values, v) {
			c.says(join(path, "default"), "%s is not one of the column's values", v)
		}
	}
	for i, check := range c.Spec.Data.Checks {
		if check.MaxFraction == 1 {
			c.says(join(index("spec.data.checks", i), "max_fraction"), "1 allows every row to break the check, which then finds nothing")
		}
	}
	c.checkTimeBounds()
	for i, g := range c.Spec.Evaluate.Gates {
		c.isReachable(index("spec.evaluate.gates", i), g)
	}
}

// isWithin checks a value against the column's min and max.
func (c *checker) isWithin(path string, v Value, col Column) {
	var x float64
	switch n := v.v.(type) {
	case int64:
		x = float64(n)
	case float64:
		x = n
	default:
		return
	}
	switch {
	case col.Min != nil && x < *col.Min:
		c.says(path, "%s is less than min, %v", v, *col.Min)
	case col.Max != nil && x > *col.Max:
		c.says(path, "%s is more than max, %v", v, *col.Max)
	}
}

func (c *checker) checkTimeBounds() {
	d := c.Spec.Data
	if col, ok := c.Column(d.Time); ok && col.Optional && col.Default == nil && col.Nulls == 0 {
		c.d.problem(join(join(columns, d.Time), "optional"), "leave optional out, or data.time", nil,
			"%q is data.time: a row without a time is neither old nor new, so no file may lack the column", d.Time)
	}
	if d.Window.Span > 0 && d.Holdout.Gap >= d.Window.Span {
		c.says("spec.data.holdout.gap", "%s leaves nothing of the window, %s", d.Holdout.Gap, d.Window.Span)
	}
}

// unbounded are the metrics that may be more than 1.
var unbounded = []string{MetricLogLoss, MetricRMSE, MetricMAE, MetricMAPE}

// isReachable checks that a model can pass a gate.
func (c *checker) isReachable(path string, g Gate) {
	if g.Metric == "" {
		return
	}
	if g.Min != nil && *g.Min > 1 && !slices.Contains(unbounded, g.Metric) {
		c.says(join(path, "min"), "%v cannot be reached: %s is at most 1", *g.Min, g.Metric)
	}
	if g.Max != nil && *g.Max < 0 && g.Metric != MetricR2 {
		c.says(join(path, "max"), "%v cannot be reached: %s is never below 0", *g.Max, g.Metric)
	}
}
