package rows

import (
	"math"
	"time"

	"millrace.dev/shared/table"
)

// object returns one row of a batch by column name.
func object(b *table.Batch, row int) map[string]any {
	o := make(map[string]any, len(b.Schema))
	for i, c := range b.Schema {
		o[c.Name] = Value(c.Type, &b.Columns[i], row)
	}
	return o
}

// Value returns one value of a column as JSON represents it; nil for a null and
// for NaN and infinite floats.
func Value(typ table.Type, v *table.Vector, row int) any {
	if v.Null(row) {
		return nil
	}
	switch typ {
	case table.String:
		return v.Strings[row]
	case table.Float:
		if f := v.Floats[row]; !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return nil
	case table.Bool:
		return v.Bools[row]
	case table.Timestamp:
		return time.UnixMicro(v.Ints[row]).UTC().Format(time.RFC3339Nano)
	default:
		return v.Ints[row]
	}
}
