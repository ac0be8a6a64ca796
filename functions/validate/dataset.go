package validate

import (
	"fmt"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// Dataset is the profile of partitions, for trying what would come of others.
// The zero value has no partitions.
type Dataset struct{ rest }

// DatasetOf returns a dataset that has so many partitions and this profile.
func DatasetOf(profile *table.Profile, partitions int) Dataset {
	return Dataset{rest{partitions, profile}}
}

// Add adds a partition that keeps the contract. It returns why the partition
// would be rejected, in which case it was not added, or how it differs from the
// partitions before: what a warning of validated data says, and values outside
// the range so far.
func (d *Dataset) Add(p *config.Pipeline, part *table.Profile) (problems, differences []events.Problem, err error) {
	if d.partitions == 0 {
		d.rest = rest{1, part}
		return nil, nil, nil
	}
	if problems = conflicts(part, d.rest); len(problems) > 0 {
		return problems, nil, nil
	}
	differences = append(warnings(p, part, d.rest), ranges(part, d.rest)...)
	all, err := table.Merge(d.profile, part)
	d.rest = rest{d.partitions + 1, all}
	return nil, differences, err
}

// ranges returns the columns of numbers that have values outside the range in
// the rest of the dataset.
func ranges(part *table.Profile, r rest) []events.Problem {
	var found []events.Problem
	for i := range part.Columns {
		c := &part.Columns[i]
		old := r.profile.Column(c.Name)
		if old == nil || old.Count == 0 || c.Count == 0 || c.Type != table.Int && c.Type != table.Float {
			continue
		}
		low, high := old.Below(c.Min), old.Above(c.Max)
		if !low && !high {
			continue
		}
		w := events.Problem{Check: "range", Column: c.Name, Reason: fmt.Sprintf("the values are %v to %v, where they are %v to %v in the rest of the dataset", c.Min, c.Max, old.Min, old.Max)}
		for v, n := range c.Values() {
			if old.Below(v) || old.Above(v) {
				w.Count += n
			}
		}
		w.Fraction = float64(w.Count) / float64(part.Rows)
		found = append(found, w)
	}
	return found
}
