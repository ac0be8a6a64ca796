package table

import "context"

// examples returns the rows with these ascending numbers, from 0, as people
// look at them. It decodes one column at a time.
func (t *file) examples(ctx context.Context, rows []int64) ([]map[string]any, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	found := make([]map[string]any, len(rows))
	for i, n := range rows {
		found[i] = map[string]any{RowKey: n + 1}
	}
	first, k := int64(0), 0
	for group, g := range t.pq.RowGroups() {
		from := k
		for k < len(rows) && rows[k] < first+g.NumRows() {
			k++
		}
		for index, col := range t.schema {
			if from == k {
				break
			}
			var v Vector
			var d decoder
			if err := t.each(ctx, group, index, func(r *run) { d.append(&v, col.Type, r) }); err != nil {
				return nil, err
			}
			for i := from; i < k; i++ {
				found[i][col.Name] = v.value(col.Type, int(rows[i]-first))
			}
		}
		first += g.NumRows()
	}
	return found, nil
}

// value returns the value of row i as a profile shows it, nil for a null.
func (v *Vector) value(typ Type, i int) any {
	switch {
	case isNull(v, i):
		return nil // JSON has no NaN either
	case typ == String:
		return v.Strings[i]
	case typ == Float:
		return v.Floats[i]
	case typ == Bool:
		return v.Bools[i]
	case typ == Timestamp:
		return moment(v.Ints[i])
	}
	return v.Ints[i]
}
