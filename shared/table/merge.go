package table

import (
	"context"
	"fmt"
)

// ProfileFiles measures several files as if they were one table: it merges
// their profiles.
func ProfileFiles(ctx context.Context, paths ...string) (*Profile, error) {
	ps := make([]*Profile, len(paths))
	for i, path := range paths {
		var err error
		if ps[i], err = ProfileFile(ctx, path); err != nil {
			return nil, err
		}
	}
	return Merge(ps...)
}

// Merge returns the profile of all rows that ps measured, in the order of ps.
// A column that some lack is null there; one of two types is an *[Unreadable].
// A summary cannot be merged. The profiles are not changed.
func Merge(ps ...*Profile) (*Profile, error) {
	if len(ps) == 1 {
		return ps[0], nil
	}
	all := &Profile{}
	var order []string
	columns := map[string][]*ColumnProfile{}
	for _, p := range ps {
		all.Rows += p.Rows
		for i := range p.Columns {
			c := &p.Columns[i]
			if c.isSummary() {
				return nil, fmt.Errorf("merge profiles: column %q is a summary", c.Name)
			}
			if columns[c.Name] == nil {
				order = append(order, c.Name)
			}
			columns[c.Name] = append(columns[c.Name], c)
		}
	}
	for _, name := range order {
		c, err := mergeColumns(all.Rows, columns[name])
		if err != nil {
			return nil, err
		}
		all.Columns = append(all.Columns, c)
	}
	return all, nil
}

func mergeColumns(rows int64, cs []*ColumnProfile) (ColumnProfile, error) {
	first := cs[0]
	var counted, nonFinite int64
	var values []entry
	var s *sketch
	for _, c := range cs {
		if c.Type != first.Type {
			return ColumnProfile{}, &Unreadable{
				Column: c.Name,
				Reason: fmt.Sprintf("column %q is %s in one part of the data and %s in another", c.Name, first.Type, c.Type),
			}
		}
		counted += c.Count
		nonFinite += c.NonFinite
		if c.sketch == nil {
			values = mergeEntries(values, c.values)
		}
		if s == nil && (c.sketch != nil || len(values) > MaxDistinct) {
			s = newSketch(first.Type)
		}
		if s == nil {
			continue
		}
		s.add(first.Type, values)
		values = nil
		if c.sketch != nil {
			if err := s.merge(c.sketch); err != nil {
				return ColumnProfile{}, fmt.Errorf("merge column %q: %w", c.Name, err)
			}
		}
	}
	return newColumn(first.Name, first.Type, rows-counted, nonFinite, values, s), nil
}
