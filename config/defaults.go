package config

import "slices"

// fill sets the defaults that depend on other fields; the others are in the
// tags. It never changes a value that is written, and it is idempotent.
func (p *Pipeline) fill() {
	for name, c := range p.Spec.Data.Columns {
		c.Name = name
		for i, v := range c.Values {
			c.Values[i] = v.as(c.Type)
		}
		p.Spec.Data.Columns[name] = c
	}
	if h := &p.Spec.Data.Holdout; h.By == "" {
		switch {
		case len(h.Uploads) > 0:
			h.By = HoldoutByUploads
		case p.Spec.Data.Time != "":
			h.By = HoldoutByTime
		case h.Stratify || h.Seed != 0:
			h.By = HoldoutByRandom
		default:
			h.By = HoldoutByHash
		}
	}
	if x := &p.Spec.Data.Expect; x.Late == 0 {
		x.Late = x.Every
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

// as converts the value to a column's type: a whole number in a float column
// becomes a float. A value that does not fit is returned unchanged.
func (v Value) as(columnType string) Value {
	if i, ok := v.v.(int64); ok && columnType == TypeFloat {
		return Value{float64(i)}
	}
	return v
}
