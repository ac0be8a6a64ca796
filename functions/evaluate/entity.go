package evaluate

import (
	"strconv"

	"millrace.dev/shared/table"
)

// entities numbers the entities that rows belong to, by the columns of
// data.holdout.group. Rows of one entity are not independent.
type entities struct {
	columns []string
	numbers map[string]int32
	key     []byte
}

// newEntities returns nil where no column identifies an entity, or the hold-out
// lacks one.
func newEntities(columns []string, schema table.Schema) *entities {
	if len(columns) == 0 {
		return nil
	}
	for _, name := range columns {
		if schema.Index(name) < 0 {
			return nil
		}
	}
	return &entities{columns: columns, numbers: map[string]int32{}}
}

// number appends the numbers of some rows' entities.
func (e *entities) number(to []int32, b *table.Batch, rows []int32) []int32 {
	for _, row := range rows {
		e.key = e.key[:0]
		for _, name := range e.columns {
			at := b.Schema.Index(name)
			if v := &b.Columns[at]; v.Null(int(row)) {
				e.key = append(e.key, '-')
			} else {
				e.key = strconv.AppendQuote(e.key, text(b.Schema[at].Type, v, int(row)))
			}
		}
		n, ok := e.numbers[string(e.key)]
		if !ok {
			n = int32(len(e.numbers))
			e.numbers[string(e.key)] = n
		}
		to = append(to, n)
	}
	return to
}

// pickGroups returns the groups of some rows, numbered from 0 without gaps.
func pickGroups(groups, rows []int32) []int32 {
	if groups == nil {
		return nil
	}
	numbers := make(map[int32]int32, len(rows))
	picked := make([]int32, len(rows))
	for i, row := range rows {
		n, ok := numbers[groups[row]]
		if !ok {
			n = int32(len(numbers))
			numbers[groups[row]] = n
		}
		picked[i] = n
	}
	return picked
}
