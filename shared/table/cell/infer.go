package cell

import (
	"math"

	"millrace.dev/shared/table"
)

// Inference finds the narrowest type that all values of a column have, for
// columns that no contract states. It looks at every value.
type Inference struct {
	nulls               map[string]bool
	some                bool // there was a value
	notInt, notFloat    bool
	notBool, notInstant bool
}

// NewInference returns an Inference that takes these words for missing values;
// nil means DefaultNulls.
func NewInference(nulls []string) *Inference {
	return &Inference{nulls: New(Rule{Type: table.String, Nulls: nulls}).nulls}
}

// See takes in a value as written. plain says that it is text in its own right,
// as a JSON string, and so neither a number nor true or false.
func (i *Inference) See(text []byte, plain bool) {
	if len(text) == 0 || i.nulls[string(text)] {
		return
	}
	i.some = true
	if plain {
		i.notInt, i.notFloat, i.notBool = true, true, true
	}
	if !i.notInt && !isPlainInt(text) {
		i.notInt = true
	}
	if !i.notFloat {
		f, refusal := parseFloat(text)
		i.notFloat = refusal != nil || math.IsNaN(f) || hasLeadingZero(text) || i.tooLong(text)
	}
	if !i.notBool {
		_, ok := truth(text)
		i.notBool = !ok
	}
	if !i.notInstant {
		_, ok := parseISO(text)
		i.notInstant = !ok
	}
}

// tooLong reports whether text is a whole number that a float would round.
func (i *Inference) tooLong(text []byte) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && c != '-' && c != '+' {
			return false
		}
	}
	return len(text) > 15 && !isPlainInt(text)
}

// isPlainInt reports whether text is how a whole number of 64 bits is usually
// written: a number with zeros in front is an identifier.
func isPlainInt(text []byte) bool {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || hasLeadingZero(text) {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	_, refusal := parseInt(text)
	return refusal == nil
}

func hasLeadingZero(text []byte) bool {
	if text[0] == '-' || text[0] == '+' {
		text = text[1:]
	}
	return len(text) > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9'
}

// Type returns the type; a column without values is text.
func (i *Inference) Type() table.Type {
	switch {
	case !i.some:
		return table.String
	case !i.notInt:
		return table.Int
	case !i.notFloat:
		return table.Float
	case !i.notBool:
		return table.Bool
	case !i.notInstant:
		return table.Timestamp
	}
	return table.String
}
