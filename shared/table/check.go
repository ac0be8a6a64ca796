package table

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Check compares the table at path, whose profile is p, with r, and returns
// what is broken in the order of the rules; nothing if all is well. SQL rules
// are for package duck.
//
// Rules about columns and the number of rows are answered by the profile; rows
// are read only for uniqueness, for columns the profile does not know exactly,
// and for the examples of what is broken. Memory is bounded, whatever the
// table's size: what uniqueness needs beyond that is put into a temporary file.
func Check(ctx context.Context, path string, p *Profile, r Rules) ([]Broken, error) {
	t, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if t.pq.NumRows() != p.Rows {
		return nil, fmt.Errorf("check %s: it has %d rows, and its profile %d", t.name, t.pq.NumRows(), p.Rows)
	}
	c := &checker{ctx: ctx, t: t, p: p}
	for _, rule := range r.Columns {
		c.column(rule)
	}
	if r.ExtraReject {
		c.extra(r.Columns)
	}
	for _, rule := range r.Rows {
		c.rows(rule)
	}
	for _, rule := range r.Unique {
		c.unique(rule)
	}
	if c.err != nil {
		return nil, fmt.Errorf("check %s: %w", t.name, c.err)
	}
	return c.broken, nil
}

// checker collects what is broken. After the first error it does nothing.
type checker struct {
	ctx    context.Context
	t      *file
	p      *Profile
	broken []Broken
	err    error
}

// add notes a broken check, with examples of the rows that match.
func (c *checker) add(b Broken, rows []int64) {
	if c.err != nil {
		return
	}
	if b.Count > 0 && c.p.Rows > 0 {
		b.Fraction = float64(b.Count) / float64(c.p.Rows)
	}
	b.Examples, c.err = c.t.examples(c.ctx, rows)
	c.broken = append(c.broken, b)
}

func (c *checker) column(rule ColumnRule) {
	col := c.p.Column(rule.Name)
	if col == nil {
		present := make([]string, len(c.p.Columns))
		for i := range c.p.Columns {
			present[i] = c.p.Columns[i].Name
		}
		c.add(Broken{
			Check: CheckMissing, Column: rule.Name, Count: c.p.Rows,
			Reason: fmt.Sprintf("column %q is missing; the columns that are there: %s", rule.Name, list(present)),
		}, nil)
		return
	}
	if col.Type != rule.Type {
		c.add(Broken{
			Check: CheckType, Column: rule.Name, Count: c.p.Rows,
			Reason: fmt.Sprintf("column %q is %s, and has to be %s", rule.Name, col.Type, rule.Type),
		}, nil)
		return
	}
	if share := col.NullShare(); share > rule.Nulls {
		what := "are missing"
		if col.NonFinite > 0 {
			what = fmt.Sprintf("are missing or no number (NaN or infinite: %d)", col.NonFinite)
		}
		c.add(Broken{
			Check: CheckNulls, Column: rule.Name, Count: col.Nulls, Allowed: rule.Nulls,
			Reason: fmt.Sprintf("%d of %d values of %q (%s) %s; allowed: %s", col.Nulls, c.p.Rows, rule.Name, Percent(share), what, Percent(rule.Nulls)),
		}, c.find(col, isNull))
	}
	if len(rule.Values) > 0 {
		c.values(col, rule)
	}
	if rule.Min != nil || rule.Max != nil {
		c.rangeOf(col, rule)
	}
}

// isNull matches what a profile counts as null.
func isNull(v *Vector, i int) bool {
	return v.Null(i) || v.Floats != nil && !finite(v.Floats[i])
}

func (c *checker) values(col *ColumnProfile, rule ColumnRule) {
	texts, keys := map[string]bool{}, map[uint64]bool{}
	for _, v := range rule.Values {
		if e, ok := parseEntry(col.Type, v); ok && col.Type == String {
			texts[e.text] = true
		} else if ok {
			keys[e.key] = true
		}
	}
	forbidden := func(e entry) bool { return !keys[e.key] }
	if col.Type == String {
		forbidden = func(e entry) bool { return !texts[e.text] }
	}
	bad, count := c.outside(col, forbidden)
	if count == 0 {
		return
	}
	slices.SortStableFunc(bad, func(a, b entry) int { return cmp.Compare(b.n, a.n) })
	var shown []string
	for _, e := range bad[:min(len(bad), maxShown)] {
		s := fmt.Sprintf("%q", e.written(col.Type))
		if e.n > 0 {
			s += fmt.Sprintf(" (%d)", e.n)
		}
		shown = append(shown, s)
	}
	if len(bad) > maxShown || !col.Exact {
		shown = append(shown, "and others")
	}
	c.add(Broken{
		Check: CheckValues, Column: rule.Name, Count: count,
		Reason: fmt.Sprintf("%d of %d values of %q are not allowed: %s; allowed: %s", count, c.p.Rows, rule.Name, strings.Join(shown, ", "), list(rule.Values)),
	}, c.find(col, matching(col.Type, forbidden)))
}

func (c *checker) rangeOf(col *ColumnProfile, rule ColumnRule) {
	if col.Type != Int && col.Type != Float {
		return // bounds of other types are a mistake of the pipeline file, which its loader reports
	}
	out := func(e entry) bool {
		x := e.number(col.Type)
		return rule.Min != nil && x < *rule.Min || rule.Max != nil && x > *rule.Max
	}
	if col.Count == 0 || !out(entryOf(col.Min)) && !out(entryOf(col.Max)) {
		return // sketches know these two exactly
	}
	_, count := c.outside(col, out)
	var bounds []string
	if rule.Min != nil {
		bounds = append(bounds, fmt.Sprintf("at least %v", *rule.Min))
	}
	if rule.Max != nil {
		bounds = append(bounds, fmt.Sprintf("at most %v", *rule.Max))
	}
	c.add(Broken{
		Check: CheckRange, Column: rule.Name, Count: count,
		Reason: fmt.Sprintf("%d of %d values of %q are out of range (from %v to %v); allowed: %s", count, c.p.Rows, rule.Name, col.Min, col.Max, strings.Join(bounds, ", ")),
	}, c.find(col, matching(col.Type, out)))
}

// maxShown is how many values a reason names.
const maxShown = 10

// outside returns the values that match, and how many rows have them: from the
// profile, or from the rows if it does not know all values. In that case bad is
// the first of them, without counts.
func (c *checker) outside(col *ColumnProfile, match func(entry) bool) (bad []entry, count int64) {
	if col.Exact {
		for _, e := range col.values {
			if match(e) {
				bad = append(bad, e)
				count += e.n
			}
		}
		return bad, count
	}
	m := &measure{typ: col.Type, visit: func(e entry, n int64) {
		if !match(e) {
			return
		}
		count += n
		if len(bad) < maxShown && !slices.ContainsFunc(bad, e.same) {
			bad = append(bad, e)
		}
	}}
	index := c.t.schema.Index(col.Name)
	for group := range c.t.pq.RowGroups() {
		if c.err == nil {
			c.err = c.t.each(c.ctx, group, index, m.count)
		}
	}
	m.fold()
	return bad, count
}

// matching matches rows by their value; nulls never match.
func matching(typ Type, match func(entry) bool) func(*Vector, int) bool {
	return func(v *Vector, i int) bool {
		switch {
		case isNull(v, i):
			return false
		case typ == String:
			return match(entry{text: v.Strings[i]})
		case typ == Float:
			return match(entry{key: floatKey(v.Floats[i])})
		case typ == Bool:
			return match(entry{key: boolKey(v.Bools[i])})
		}
		return match(entry{key: intKey(v.Ints[i])})
	}
}

// find returns the numbers, from 0, of the first MaxExamples rows that match.
func (c *checker) find(col *ColumnProfile, match func(*Vector, int) bool) []int64 {
	index := c.t.schema.Index(col.Name)
	var found []int64
	var v Vector
	var d decoder
	first := int64(0)
	for group := range c.t.pq.RowGroups() {
		if c.err != nil || len(found) >= MaxExamples {
			break
		}
		v.truncate()
		c.err = c.t.each(c.ctx, group, index, func(r *run) { d.append(&v, col.Type, r) })
		n := v.len(col.Type)
		for i := 0; i < n && len(found) < MaxExamples; i++ {
			if match(&v, i) {
				found = append(found, first+int64(i))
			}
		}
		first += int64(n)
	}
	return found
}

func (c *checker) extra(rules []ColumnRule) {
	for i := range c.p.Columns {
		name := c.p.Columns[i].Name
		if !slices.ContainsFunc(rules, func(r ColumnRule) bool { return r.Name == name }) {
			c.add(Broken{
				Check: CheckExtra, Column: name, Count: c.p.Rows,
				Reason: fmt.Sprintf("column %q is not in the contract; list it, or ignore extra columns", name),
			}, nil)
		}
	}
}

func (c *checker) rows(rule RowsRule) {
	switch n := c.p.Rows; {
	case n < rule.Min:
		c.add(Broken{Check: rule.Name, Reason: fmt.Sprintf("there are %d rows; required: at least %d", n, rule.Min)}, nil)
	case rule.Max > 0 && n > rule.Max:
		c.add(Broken{Check: rule.Name, Reason: fmt.Sprintf("there are %d rows; allowed: at most %d", n, rule.Max)}, nil)
	}
}
