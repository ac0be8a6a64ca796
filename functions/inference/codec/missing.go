package codec

import (
	"strconv"
	"strings"

	"millrace.dev/shared/onnx"
)

// unwantedNulls is the error of a request with missing values where the
// contract or the model allows none. It names all of their rows and columns, up
// to a bound.
func (q *Request) unwantedNulls() error {
	const most = 10
	var parts []string
	more := 0
	for i := range q.columns {
		c := &q.columns[i]
		if c.Nulls == nil || !c.feature.Required && q.schema.nullable[i] {
			continue
		}
		if len(parts) == most {
			more++
			continue
		}
		why := "the contract allows no missing value in it (nulls: 0)"
		if !c.feature.Required {
			why = "the model takes no missing values of type " + string(c.feature.Type)
		}
		parts = append(parts, "column "+c.Name+", "+rowList(c.missing())+": the value is missing, and "+why)
	}
	if more > 0 {
		parts = append(parts, "and "+strconv.Itoa(more)+" more columns")
	}
	return Invalid("%s", strings.Join(parts, "; "))
}

// overflows is the error of a request with numbers that the model's input does
// not hold. It names all of their rows and columns.
func (q *Request) overflows() error {
	var parts []string
	for i := range q.columns {
		var rows []int
		for row, v := range q.columns[i].Floats {
			if q.schema.single[i] && onnx.Overflows(v) {
				rows = append(rows, row)
			}
		}
		if rows != nil {
			parts = append(parts, "column "+q.columns[i].Name+", "+rowList(rows)+": the number is beyond what the model's input holds, FP32 (up to 3.4e38)")
		}
	}
	return Invalid("%s", strings.Join(parts, "; "))
}

// missing returns the rows without a value.
func (c *column) missing() (rows []int) {
	for row, null := range c.Nulls {
		if null {
			rows = append(rows, row)
		}
	}
	return rows
}

// rowList names rows, the first of them if they are many. There is at least one.
func rowList(rows []int) string {
	const named = 10
	b := []byte("row ")
	if len(rows) > 1 {
		b = []byte("rows ")
	}
	for i, row := range rows[:min(named, len(rows))] {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendInt(b, row)
	}
	if more := len(rows) - named; more > 0 {
		b = append(appendInt(append(b, " and "...), more), " more"...)
	}
	return string(b)
}
