package config

import "slices"

// fill sets the defaults that hang on other fields; the others stand in the
// tags. It changes nothing that is written, and filling twice is filling once.
func (p *Pipeline) fill() {
	for name, c := range p.Spec.Data.Columns {
		c.Name = name
		for i, v := range c.Values {
			c.Values[i] = v.as(c.Type)
		}
		p.Spec.Data.Columns[name] = c
	}
	if p.Spec.Data.Holdout.By == "" {
		p.Spec.Data.Holdout.By = HoldoutByHash
		if p.Spec.Data.Time != "" {
			p.Spec.Data.Holdout.By = HoldoutByTime
		}
	}
	p.fillClasses()
	p.fillEvaluate()
	p.fillPromote()
}

func (p *Pipeline) fillClasses() {
	m := &p.Spec.Model
	label, _ := p.Label()
	for i, v := range m.Classes {
		m.Classes[i] = v.as(label.Type)
	}
	if m.Classes != nil || m.Task == TaskRegression {
		return
	}
	switch {
	case len(label.Values) > 0:
		m.Classes = slices.DeleteFunc(slices.Clone(label.Values), func(v Value) bool { return v == Value{} })
		slices.SortFunc(m.Classes, compareValues)
	case label.Type == TypeBool:
		m.Classes = []Value{ValueOf(false), ValueOf(true)}
	}
}

func (p *Pipeline) fillEvaluate() {
	e := &p.Spec.Evaluate
	if len(e.Metrics) == 0 {
		known := Metrics(p.Spec.Model.Task)
		e.Metrics = slices.Clone(known[:min(usualMetrics, len(known))])
		for _, g := range e.Gates {
			if slices.Contains(known, g.Metric) && !slices.Contains(e.Metrics, g.Metric) {
				e.Metrics = append(e.Metrics, g.Metric)
			}
		}
	}
	for i, g := range e.Gates {
		if g.Slice != "" && g.MinRows == 0 {
			e.Gates[i].MinRows = DefaultMinRows
		}
	}
}

func (p *Pipeline) fillPromote() {
	r := &p.Spec.Promote
	if r.Strategy != StrategyCanary {
		return
	}
	if len(r.Steps) == 0 {
		r.Steps = []int{10, 50, 100}
	}
	if r.Advance.Requests == 0 {
		r.Advance.Requests = 500
	}
	if r.Advance.Within == 0 {
		r.Advance.Within = Duration(day / 24)
	}
	if r.OnDeadline == "" {
		r.OnDeadline = OnDeadlineHold
	}
}

// as is the value as a column of that type has it: a whole number in a float
// column is a float. A value that does not fit stays as it is.
func (v Value) as(columnType string) Value {
	if i, ok := v.v.(int64); ok && columnType == TypeFloat {
		return Value{float64(i)}
	}
	return v
}
