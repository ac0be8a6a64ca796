package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Value is one value of a column in a pipeline file: a string, a whole number, a
// number or a boolean. Values are comparable with ==.
type Value struct {
	v any // string, int64, float64 or bool
}

// ValueOf returns v as a Value.
func ValueOf[T string | int64 | float64 | bool](v T) Value { return Value{v: v} }

// Any returns the value as a string, int64, float64 or bool.
func (v Value) Any() any { return v.v }

// String returns the value's text: false, 3, 0.5, AA.
func (v Value) String() string {
	switch x := v.v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(x)
	}
	return ""
}

// MarshalJSON writes the value with its own JSON type.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.v) }

// UnmarshalJSON decodes a string, a number or a boolean. A number without
// fraction and exponent becomes an int64 if it fits.
func (v *Value) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		return err
	}
	switch x := x.(type) {
	case string, bool:
		v.v = x
	case json.Number:
		v.v = number(x)
	default:
		return fmt.Errorf("%s is not a string, a number or a boolean", data)
	}
	return nil
}

// number returns an int64 if the text is one, otherwise a float64, which is 0 for
// a number beyond the range of float64.
func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) {
		return float64(0)
	}
	return f
}

// compareValues orders values: booleans, then numbers, then strings; false before
// true, numbers by size, strings by bytes.
func compareValues(a, b Value) int {
	if c := cmp.Compare(valueRank(a), valueRank(b)); c != 0 {
		return c
	}
	switch x := a.v.(type) {
	case bool:
		y := b.v.(bool)
		switch {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	case string:
		return cmp.Compare(x, b.v.(string))
	}
	return cmp.Compare(asFloat(a.v), asFloat(b.v)) // both are numbers
}

func valueRank(v Value) int {
	switch v.v.(type) {
	case bool:
		return 0
	case int64, float64:
		return 1
	case string:
		return 2
	}
	return 3 // a zero Value: it has been refused
}

func asFloat(v any) float64 {
	switch x := v.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

// Quantity is an amount of a Kubernetes resource as text: 500m, 2Gi, 1.
type Quantity string
