package cell

import (
	"fmt"
	"strconv"

	"millrace.dev/shared/table"
)

// Bounds are what single values of a column may be. The zero value allows all.
type Bounds struct {
	Required bool     // no value is missing
	Values   []string // if any: the only values, as the pipeline file writes them
	Min, Max *float64 // of int and float columns
}

// Allowed is Bounds made ready for the values of one column.
type Allowed struct {
	bounds  Bounds
	texts   map[string]bool
	numbers map[int64]bool
	floats  map[float64]bool
	bools   map[bool]bool
}

// Allow returns b for columns of the type, nil if b allows every value.
func Allow(typ table.Type, b Bounds) *Allowed {
	if !b.Required && len(b.Values) == 0 && b.Min == nil && b.Max == nil {
		return nil
	}
	a := &Allowed{bounds: b, texts: map[string]bool{}, numbers: map[int64]bool{}, floats: map[float64]bool{}, bools: map[bool]bool{}}
	c := New(Rule{Type: typ, Nulls: []string{}})
	for _, v := range b.Values {
		_ = c.AddText([]byte(v), true) // one that is not of the type is null, and allows nothing
	}
	v := c.Vector()
	for i := range b.Values {
		switch {
		case v.Null(i):
		case typ == table.String:
			a.texts[v.Strings[i]] = true
		case typ == table.Float:
			a.floats[v.Floats[i]] = true
		case typ == table.Bool:
			a.bools[v.Bools[i]] = true
		default:
			a.numbers[v.Ints[i]] = true
		}
	}
	return a
}

// Outside returns why the value of a row, from 0, is not allowed, and nil if it
// is. The rows are those since Reset, and Vector has not been called since.
func (c *Column) Outside(a *Allowed, row int) *Refusal {
	if c.vector.Null(row) {
		if a.bounds.Required {
			return notThere
		}
		return nil
	}
	if len(a.bounds.Values) > 0 && !c.among(a, row) {
		return notListed
	}
	var x float64
	switch c.rule.Type {
	case table.Int:
		x = float64(c.vector.Ints[row])
	case table.Float:
		x = c.vector.Floats[row]
	default:
		return nil
	}
	switch b := a.bounds; {
	case b.Min != nil && x < *b.Min:
		return &Refusal{Reason: fmt.Sprintf("is less than %v, the least that is allowed", *b.Min), Try: correctBounds}
	case b.Max != nil && x > *b.Max:
		return &Refusal{Reason: fmt.Sprintf("is more than %v, the most that is allowed", *b.Max), Try: correctBounds}
	}
	return nil
}

func (c *Column) among(a *Allowed, row int) bool {
	switch c.rule.Type {
	case table.String:
		return a.texts[string(c.textOf(row))]
	case table.Float:
		return a.floats[c.vector.Floats[row]]
	case table.Bool:
		return a.bools[c.vector.Bools[row]]
	}
	return a.numbers[c.vector.Ints[row]]
}

// Text shows the value of a row, from 0, in a sentence; "" if it is missing. The
// rows are those of Outside.
func (c *Column) Text(row int) string {
	v := &c.vector
	switch {
	case v.Null(row):
		return ""
	case c.rule.Type == table.String:
		return string(c.textOf(row))
	case c.rule.Type == table.Float:
		return FloatText(v.Floats[row])
	case c.rule.Type == table.Bool:
		return strconv.FormatBool(v.Bools[row])
	case c.rule.Type == table.Timestamp:
		return TimeText(v.Ints[row], false, false)
	}
	return strconv.FormatInt(v.Ints[row], 10)
}

func (c *Column) textOf(row int) []byte {
	from := 0
	if row > 0 {
		from = c.ends[row-1]
	}
	return c.text[from:c.ends[row]]
}

const correctBounds = "correct the value, or what data.columns allows"

var (
	notThere  = &Refusal{Reason: "is missing, and the column allows no missing value", Try: "fill it in, or state nulls for the column"}
	notListed = &Refusal{Reason: "is not one of the values that are allowed", Try: correctBounds}
)
