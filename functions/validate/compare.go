package validate

import (
	"fmt"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// rest is the dataset that a partition joins, without the one it replaces.
type rest struct {
	partitions int
	profile    *table.Profile
}

// conflicts returns the columns whose type differs from the rest of the
// dataset.
func conflicts(part *table.Profile, r rest) []events.Problem {
	var problems []events.Problem
	for i := range part.Columns {
		c := &part.Columns[i]
		if old := r.profile.Column(c.Name); old != nil && old.Type != c.Type {
			problems = append(problems, events.Problem{
				Check: "type", Column: c.Name, Count: part.Rows, Fraction: 1,
				Reason: fmt.Sprintf("it is %s here and %s in the rest of the dataset; upload it as %[2]s, or remove the partitions before", c.Type, old.Type),
			})
		}
	}
	return problems
}

const (
	// nullsRise is the least rise of a column's null share that is reported, if
	// the share has also more than doubled.
	nullsRise = 0.01
	// maxCategories is the number of distinct texts up to which a new one is
	// reported.
	maxCategories = 1000
	// namedCategories is the number of new categories that a warning names.
	namedCategories = 20
)

// warnings compares a partition with the rest of the dataset. What the contract
// already restricts is not reported.
func warnings(p *config.Pipeline, part *table.Profile, r rest) []events.Problem {
	if r.partitions == 0 {
		return nil
	}
	var found []events.Problem
	mean := float64(r.profile.Rows) / float64(r.partitions)
	if n := float64(part.Rows); n < mean/2 || n > 2*mean {
		found = append(found, events.Problem{
			Check: "rows", Count: part.Rows,
			Reason: fmt.Sprintf("%d rows, where the partitions of the dataset have %.0f on average", part.Rows, mean),
		})
	}
	for i := range part.Columns {
		c := &part.Columns[i]
		old := r.profile.Column(c.Name)
		if old == nil {
			found = append(found, events.Problem{Check: "columns", Column: c.Name, Reason: "the column is not in the rest of the dataset"})
			continue
		}
		if w, ok := moreNulls(c, old); ok {
			found = append(found, w)
		}
		if rule, _ := p.Column(c.Name); len(rule.Values) == 0 {
			if w, ok := newCategories(c, old); ok {
				found = append(found, w)
			}
		}
	}
	for i := range r.profile.Columns {
		if name := r.profile.Columns[i].Name; part.Column(name) == nil {
			found = append(found, events.Problem{Check: "columns", Column: name, Reason: "the column is missing here and in the rest of the dataset it is not"})
		}
	}
	return found
}

func moreNulls(c, old *table.ColumnProfile) (events.Problem, bool) {
	now, before := c.NullShare(), old.NullShare()
	if now-before < nullsRise || now <= 2*before {
		return events.Problem{}, false
	}
	return events.Problem{
		Check: "nulls", Column: c.Name, Count: c.Nulls, Fraction: now,
		Reason: fmt.Sprintf("%s are missing, where it is %s in the rest of the dataset", table.Percent(now), table.Percent(before)),
	}, true
}

func newCategories(c, old *table.ColumnProfile) (events.Problem, bool) {
	if c.Type != table.String || !c.Exact || !old.Exact || old.Count == 0 || old.Distinct > maxCategories {
		return events.Problem{}, false
	}
	known := make(map[any]bool, old.Distinct)
	for v := range old.Values() {
		known[v] = true
	}
	var values, rows int64
	var named []string
	for v, n := range c.Values() {
		if known[v] {
			continue
		}
		values++
		rows += n
		if len(named) < namedCategories {
			named = append(named, fmt.Sprintf("%q", head(v.(string), maxShown)))
		}
	}
	if values == 0 {
		return events.Problem{}, false
	}
	list := strings.Join(slices.Clip(named), ", ")
	if more := values - int64(len(named)); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return events.Problem{
		Check: "categories", Column: c.Name, Count: rows, Fraction: float64(rows) / float64(c.Count+c.Nulls),
		Reason: "values that are not in the rest of the dataset: " + list,
	}, true
}
