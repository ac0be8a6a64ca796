package source

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"millrace.dev/shared/table"
)

// arrowColumn is how a column of Arrow becomes one of a canonical table without
// losing anything.
type arrowColumn struct {
	natural Natural
	stored  table.Type // its type in that table: text, where numbers would not be exact
}

// arrowColumns returns how the columns are read, and refuses all that cannot be
// read at once.
func (in *input) arrowColumns(s *arrow.Schema) ([]*arrowColumn, error) {
	if s.NumFields() > in.lim.Columns {
		return nil, in.reject(fmt.Sprintf("it has %d columns, and at most %d are allowed", s.NumFields(), in.lim.Columns), "leave out columns")
	}
	var columns []*arrowColumn
	var refused []string
	seen := map[string]bool{}
	for _, f := range s.Fields() {
		if seen[f.Name] {
			return nil, in.reject(fmt.Sprintf("it has two columns called %q", f.Name), "give every column a name of its own")
		}
		seen[f.Name] = true
		c, ok := arrowColumnOf(f.Name, f.Type)
		if !ok {
			refused = append(refused, fmt.Sprintf("column %q is %s, and a column has to be string, int, float, bool or timestamp", f.Name, f.Type))
		}
		columns = append(columns, c)
	}
	if refused != nil {
		return nil, in.reject(strings.Join(refused, "; "), "leave these columns out, or convert them before")
	}
	if len(columns) == 0 {
		return nil, in.reject("it has no columns", "check what was uploaded")
	}
	return columns, nil
}

func arrowColumnOf(name string, t arrow.DataType) (*arrowColumn, bool) {
	c := &arrowColumn{natural: Natural{Name: name}}
	as := func(typ, stored table.Type) (*arrowColumn, bool) {
		c.natural.Type, c.stored = typ, stored
		return c, true
	}
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return arrowColumnOf(name, t.ValueType)
	case arrow.ExtensionType:
		return arrowColumnOf(name, t.StorageType())
	case *arrow.TimestampType:
		c.natural.Wall = t.TimeZone == ""
		return as(table.Timestamp, table.Timestamp)
	case arrow.DecimalType:
		if t.GetPrecision() > 38 {
			return c, false
		}
		if t.GetScale() == 0 {
			return as(table.Int, table.String)
		}
		return as(table.Float, table.String)
	}
	switch t.ID() {
	case arrow.NULL, arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW,
		arrow.FIXED_SIZE_BINARY, arrow.TIME32, arrow.TIME64:
		return as(table.String, table.String)
	case arrow.BOOL:
		return as(table.Bool, table.Bool)
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return as(table.Int, table.Int)
	case arrow.UINT64:
		return as(table.Int, table.String)
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64:
		return as(table.Float, table.Float)
	case arrow.DATE32, arrow.DATE64:
		c.natural.Wall, c.natural.Date = true, true
		return as(table.Timestamp, table.Timestamp)
	}
	return c, false
}

// vector returns some rows of the column. If one cannot be read, its number
// among them is returned with the error.
func (c *arrowColumn) vector(a arrow.Array, from, to int) (v table.Vector, row int, err error) {
	for i := from; i < to; i++ {
		values, at, null := plainValue(a, i)
		if null {
			if v.Nulls == nil {
				v.Nulls = make([]bool, to-from)
			}
			v.Nulls[i-from] = true
		}
		if err := c.add(&v, values, at, null); err != nil {
			return v, i - from, err
		}
	}
	return v, 0, nil
}

// plainValue follows dictionaries and extensions to where a value is stored.
func plainValue(a arrow.Array, i int) (arrow.Array, int, bool) {
	for {
		if a.IsNull(i) {
			return a, i, true
		}
		switch d := a.(type) {
		case *array.Dictionary:
			a, i = d.Dictionary(), d.GetValueIndex(i)
			if i < 0 || i >= a.Len() {
				panic("an index beyond its dictionary")
			}
		case array.ExtensionArray:
			a = d.Storage()
		default:
			return a, i, d.DataType().ID() == arrow.NULL
		}
	}
}

// add appends a value to v.
func (c *arrowColumn) add(v *table.Vector, a arrow.Array, i int, null bool) (err error) {
	switch c.stored {
	case table.Bool:
		v.Bools = append(v.Bools, !null && a.(*array.Boolean).Value(i))
	case table.Int, table.Timestamp:
		n := int64(0)
		if !null {
			n, err = arrowInt(a, i)
		}
		v.Ints = append(v.Ints, n)
	case table.Float:
		f := 0.
		if !null {
			f = arrowFloat(a, i)
		}
		v.Floats = append(v.Floats, f)
	default:
		s := ""
		if !null {
			s, err = arrowText(a, i)
		}
		v.Strings = append(v.Strings, s)
	}
	return err
}

// arrowInt returns an int, or a moment in microseconds.
func arrowInt(a arrow.Array, i int) (int64, error) {
	switch a := a.(type) {
	case *array.Int8:
		return int64(a.Value(i)), nil
	case *array.Int16:
		return int64(a.Value(i)), nil
	case *array.Int32:
		return int64(a.Value(i)), nil
	case *array.Int64:
		return a.Value(i), nil
	case *array.Uint8:
		return int64(a.Value(i)), nil
	case *array.Uint16:
		return int64(a.Value(i)), nil
	case *array.Uint32:
		return int64(a.Value(i)), nil
	case *array.Date32:
		return int64(a.Value(i)) * (24 * time.Hour).Microseconds(), nil
	case *array.Date64:
		return micros(int64(a.Value(i)), arrow.Millisecond)
	case *array.Timestamp:
		return micros(int64(a.Value(i)), a.DataType().(*arrow.TimestampType).Unit)
	}
	return 0, fmt.Errorf("%s cannot be read as a number", a.DataType())
}

// micros returns a time in microseconds; digits beyond them are dropped.
func micros(n int64, unit arrow.TimeUnit) (int64, error) {
	switch unit {
	case arrow.Nanosecond:
		return (n - (n%1000+1000)%1000) / 1000, nil // towards the past, before 1970 too
	case arrow.Microsecond:
		return n, nil
	}
	per := int64(time.Millisecond / time.Microsecond)
	if unit == arrow.Second {
		per = int64(time.Second / time.Microsecond)
	}
	if n > math.MaxInt64/per || n < math.MinInt64/per {
		return 0, errors.New("the time is beyond the year 9999")
	}
	return n * per, nil
}

func arrowFloat(a arrow.Array, i int) float64 {
	switch a := a.(type) {
	case *array.Float16:
		return float64(a.Value(i).Float32())
	case *array.Float32:
		return float64(a.Value(i))
	}
	return a.(*array.Float64).Value(i)
}

func arrowText(a arrow.Array, i int) (string, error) {
	var text string
	switch a := a.(type) {
	case array.StringLike:
		text = a.Value(i)
	case *array.Binary:
		text = string(a.Value(i))
	case *array.LargeBinary:
		text = string(a.Value(i))
	case *array.BinaryView:
		text = string(a.Value(i))
	case *array.FixedSizeBinary:
		text = string(a.Value(i))
	case *array.Uint64:
		return strconv.FormatUint(a.Value(i), 10), nil
	case *array.Decimal32:
		return a.Value(i).ToString(a.DataType().(arrow.DecimalType).GetScale()), nil
	case *array.Decimal64:
		return a.Value(i).ToString(a.DataType().(arrow.DecimalType).GetScale()), nil
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(arrow.DecimalType).GetScale()), nil
	case *array.Decimal256:
		return a.Value(i).ToString(a.DataType().(arrow.DecimalType).GetScale()), nil
	case *array.Time32:
		return timeOfDay(time.Duration(a.Value(i)) * a.DataType().(*arrow.Time32Type).Unit.Multiplier()), nil
	case *array.Time64:
		return timeOfDay(time.Duration(a.Value(i)) * a.DataType().(*arrow.Time64Type).Unit.Multiplier()), nil
	default:
		return "", fmt.Errorf("%s cannot be read as text", a.DataType())
	}
	if !utf8.ValidString(text) {
		return "", errors.New("the value is not text in UTF-8")
	}
	return strings.Clone(text), nil // the batch is gone when it is written
}

// timeOfDay writes a time as 06:30:00, with as many digits as it has.
func timeOfDay(d time.Duration) string { return time.Time{}.Add(d).Format("15:04:05.999999999") }
