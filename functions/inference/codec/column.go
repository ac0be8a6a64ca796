package codec

import (
	"math"
	"strings"
	"time"

	"millrace.dev/shared/onnx"
)

// column gathers the values of one feature from a request. Its memory is used
// again.
type column struct {
	onnx.Column
	feature onnx.Feature
	nulls   []bool // memory for Nulls, which is nil while nothing is missing
	rows    int
	given   bool
}

func (c *column) reset(f onnx.Feature) {
	c.feature, c.rows, c.given = f, 0, false
	c.Name, c.Nulls = f.Name, nil
	c.Strings, c.Ints, c.Floats, c.Bools = c.Strings[:0], c.Ints[:0], c.Floats[:0], c.Bools[:0]
}

// integers are the bounds of the whole-number datatypes.
var integers = map[string][2]float64{
	"INT8": {math.MinInt8, math.MaxInt8}, "INT16": {math.MinInt16, math.MaxInt16},
	"INT32": {math.MinInt32, math.MaxInt32}, "INT64": {math.MinInt64, math.MaxInt64},
	"UINT8": {0, math.MaxUint8}, "UINT16": {0, math.MaxUint16}, "UINT32": {0, math.MaxUint32}, "UINT64": {0, math.MaxUint64},
}

// kind is what the values of a tensor may be, by its datatype.
type kind struct {
	datatype string
	low, top float64 // bounds of whole numbers
	whole    bool
	bools    bool // true and false are 1 and 0
}

// anyKind is for values that come without a datatype.
var anyKind = kind{}

// kindOf says how a tensor's values reach the column, or why they cannot. A
// datatype is taken when its values keep their meaning in the column's type.
func (c *column) kindOf(datatype string, binary bool) (kind, error) {
	k := kind{datatype: datatype}
	bounds, whole := integers[datatype]
	if whole {
		k.whole, k.low, k.top = true, bounds[0], bounds[1]
	}
	decimal := datatype == "FP32" || datatype == "FP64"
	text := datatype == "BYTES"
	half := datatype == "FP16" || datatype == "BF16"
	k.bools = datatype == "BOOL"
	switch {
	case half && !binary:
		return k, Invalid("input %s: datatype %s has no form in JSON; send binary data, or %s", c.Name, datatype, datatypeOf(c.feature.Type, ""))
	case half && c.feature.Type != onnx.Float:
		return k, Invalid("input %s: datatype %s does not fit column type %s; send %s", c.Name, datatype, c.feature.Type, datatypeOf(c.feature.Type, ""))
	case half:
	case !whole && !decimal && !text && !k.bools:
		return k, Invalid("input %s: there is no datatype %q; send %s", c.Name, datatype, datatypeOf(c.feature.Type, ""))
	case c.feature.Type == onnx.String && !text,
		text && c.feature.Type != onnx.String && c.feature.Type != onnx.Timestamp,
		k.bools && c.feature.Type == onnx.Timestamp:
		return k, Invalid("input %s: datatype %s does not fit column type %s; send %s", c.Name, datatype, c.feature.Type, datatypeOf(c.feature.Type, ""))
	}
	return k, nil
}

// add reads one value and appends it.
func (c *column) add(cur *cursor, k kind) error {
	ch := cur.peek()
	if ch == 'n' && cur.literal("null") || ch == 'N' && c.feature.Type == onnx.Float && cur.literal("NaN") {
		c.addNull()
		return nil
	}
	var err error
	switch c.feature.Type {
	case onnx.String:
		err = c.addString(cur, ch)
	case onnx.Float:
		err = c.addFloat(cur, ch, k)
	case onnx.Bool:
		err = c.addBool(cur, ch)
	case onnx.Timestamp:
		if ch == '"' {
			err = c.addTime(cur)
			break
		}
		fallthrough
	default:
		err = c.addInt(cur, ch, k)
	}
	if err != nil {
		return err
	}
	c.rows++
	if c.Nulls != nil {
		c.Nulls = append(c.Nulls, false)
	}
	return nil
}

// addNull appends a missing value.
func (c *column) addNull() {
	switch c.feature.Type {
	case onnx.String:
		c.Strings = append(c.Strings, "")
	case onnx.Float:
		c.Floats = append(c.Floats, math.NaN())
	case onnx.Bool:
		c.Bools = append(c.Bools, false)
	default:
		c.Ints = append(c.Ints, 0)
	}
	if c.Nulls == nil {
		c.Nulls = c.nulls[:0]
		for range c.rows {
			c.Nulls = append(c.Nulls, false)
		}
	}
	c.Nulls = append(c.Nulls, true)
	c.nulls = c.Nulls
	c.rows++
}

func (c *column) wrong(cur *cursor, want string) error {
	return Invalid("column %s, row %d: %s is not %s", c.Name, c.rows, cur.found(), want)
}

func (c *column) addString(cur *cursor, ch byte) error {
	if ch != '"' {
		return c.wrong(cur, "a string")
	}
	s, err := cur.text()
	if err != nil {
		return err
	}
	text := view(s)
	if strings.IndexByte(text, 0) >= 0 {
		return Invalid("column %s, row %d: the string has a NUL in it, which models cannot take", c.Name, c.rows)
	}
	c.Strings = append(c.Strings, text)
	return nil
}

func (c *column) addFloat(cur *cursor, ch byte, k kind) error {
	switch {
	case ch == 'I' && cur.literal("Infinity"), ch == '-' && cur.literal("-Infinity"):
		return c.infinite()
	case k.bools:
		v, err := c.truth(cur, ch)
		c.Floats = append(c.Floats, float64(v))
		return err
	}
	n, err := c.number(cur, ch, k)
	if err != nil {
		return err
	}
	if n.whole && (n.i > maxWhole || n.i < -maxWhole) && int64(n.f) != n.i {
		return Invalid("column %s, row %d: %d has more digits than a float holds", c.Name, c.rows, n.i)
	}
	c.Floats = append(c.Floats, n.f)
	return nil
}

// infinite is the error of an infinite number, which uploads may not have either.
func (c *column) infinite() error {
	return Invalid("column %s, row %d: infinity is not a number that a column holds; send null for a missing value", c.Name, c.rows)
}

func (c *column) addInt(cur *cursor, ch byte, k kind) error {
	if k.bools {
		v, err := c.truth(cur, ch)
		c.Ints = append(c.Ints, v)
		return err
	}
	at := cur.at
	n, err := c.number(cur, ch, k)
	if err != nil {
		return err
	}
	if !n.whole {
		cur.at = at
		return c.wrong(cur, "a whole number of 64 bits, and the column is of type "+string(c.feature.Type))
	}
	c.Ints = append(c.Ints, n.i)
	return nil
}

func (c *column) number(cur *cursor, ch byte, k kind) (number, error) {
	if ch != '-' && (ch < '0' || ch > '9') {
		return number{}, c.wrong(cur, "a number, and the column is of type "+string(c.feature.Type))
	}
	at := cur.at
	n, err := cur.number()
	if err == nil && k.whole && (!n.whole && n.f != math.Trunc(n.f) || n.f < k.low || n.f > k.top) {
		cur.at = at
		return n, c.wrong(cur, "a value of "+k.datatype)
	}
	return n, err
}

func (c *column) addBool(cur *cursor, ch byte) error {
	v, err := c.truth(cur, ch)
	c.Bools = append(c.Bools, v == 1)
	return err
}

// truth reads true or false, or 1 or 0.
func (c *column) truth(cur *cursor, ch byte) (int64, error) {
	switch {
	case ch == 't' && cur.literal("true"):
		return 1, nil
	case ch == 'f' && cur.literal("false"):
		return 0, nil
	case ch == '0' || ch == '1':
		at := cur.at
		if n, err := cur.number(); err != nil || n.whole && (n.i == 0 || n.i == 1) {
			return n.i, err
		}
		cur.at = at
	}
	return 0, c.wrong(cur, "true or false")
}

func (c *column) addTime(cur *cursor) error {
	at := cur.at
	s, err := cur.text()
	if err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, view(s))
	if err != nil {
		cur.at = at
		return c.wrong(cur, "a timestamp: send microseconds since 1970 or an RFC 3339 text")
	}
	c.Ints = append(c.Ints, t.UnixMicro())
	return nil
}

// list reads the values of a list, nested or not, at most limit of them.
func (c *column) list(cur *cursor, k kind, limit, depth int) error {
	if err := cur.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := cur.more(first, ']')
		if !more {
			return err
		}
		switch {
		case c.rows >= limit:
			return TooManyRows(limit)
		case cur.peek() != '[':
			err = c.add(cur, k)
		case depth >= maxNesting:
			return Invalid("input %s: data is nested deeper than %d lists", c.Name, maxNesting)
		default:
			err = c.list(cur, k, limit, depth+1)
		}
		if err != nil {
			return err
		}
	}
}

// maxNesting bounds how deep the data of a tensor may be nested.
const maxNesting = 4
