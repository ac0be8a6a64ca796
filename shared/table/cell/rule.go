package cell

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace.dev/shared/table"
)

// DefaultNulls are the words that mean a missing value when a pipeline lists no
// others. An empty value is always missing, except an empty quoted string.
var DefaultNulls = []string{"NA", "NaN", "nan", "null", "NULL"}

// Rule is how the values of one column are written. The zero value of every
// field but Type is the default.
type Rule struct {
	Type table.Type
	// Nulls are the words for a missing value; nil means DefaultNulls.
	Nulls []string
	// Keep are words of Nulls that are values in this column.
	Keep []string
	// Decimal is the decimal mark, '.' or ','; 0 means '.'. Thousands groups the
	// digits before it by three; 0 means that digits are not grouped.
	Decimal, Thousands rune
	// Format is a strftime format of times, or one of Epochs; empty means ISO 8601.
	Format string
	// Zone is the zone of times written without one; nil means UTC.
	Zone *time.Location
	// True and False are the words for true and false; nil means the usual ones.
	True, False []string
	// Percent accepts a percent sign after a number. It does not scale: "5 %" is 5.
	Percent bool
}

// Epochs are the formats of times that are counted since 1970.
var Epochs = map[string]time.Duration{
	"unix": time.Second, "unix_ms": time.Millisecond, "unix_us": time.Microsecond, "unix_ns": time.Nanosecond,
}

// The usual words for true and false, in any case.
var (
	usualTrue  = []string{"true", "t", "yes", "y", "1"}
	usualFalse = []string{"false", "f", "no", "n", "0"}
)

// Refusal says why a value does not fit a column.
type Refusal struct {
	Reason string // what the value is not: "is not a whole number"
	Try    string // what to do about it

	Ambiguous bool // the value has several meanings, which says more than that it does not fit
}

// The refusals that need no value in their text.
var (
	notInt      = &Refusal{Reason: "is not a whole number", Try: correct}
	largeInt    = &Refusal{Reason: "is too large for a whole number of 64 bits", Try: "use a string column"}
	notFloat    = &Refusal{Reason: "is not a number", Try: correct}
	largeFloat  = &Refusal{Reason: "is too large for a number of 64 bits", Try: "use a string column"}
	notFinite   = &Refusal{Reason: "is not a finite number", Try: "correct the value, leave it empty, or list it in data.csv.null"}
	notBool     = &Refusal{Reason: "is not true or false", Try: correct}
	notTime     = &Refusal{Reason: "is not a time (as 2013-01-31T06:00:00Z)", Try: correct}
	wordsNeeded = &Refusal{Reason: "is not one of the words for true and false", Try: "list it in the column's true or false"}
)

const correct = "correct the value, or leave it empty"

// Refuse says that a value of another kind does not fit typ.
func Refuse(typ table.Type) *Refusal {
	switch typ {
	case table.Int:
		return notInt
	case table.Float:
		return notFloat
	case table.Bool:
		return notBool
	case table.Timestamp:
		return notTime
	}
	return &Refusal{Reason: "is not text", Try: correct}
}

// Validate reports everything that is wrong with the rule.
func (r Rule) Validate() []string {
	var wrong []string
	if r.Format != "" {
		if _, epoch := Epochs[r.Format]; !epoch && !strings.Contains(r.Format, "%") {
			wrong = append(wrong, fmt.Sprintf("%q is not a format: use strftime, as %%d/%%m/%%Y %%H:%%M, or unix, unix_ms, unix_us, unix_ns", r.Format))
		}
	}
	for _, w := range r.True {
		if slices.ContainsFunc(r.False, func(f string) bool { return strings.EqualFold(f, w) }) {
			wrong = append(wrong, fmt.Sprintf("%q means both true and false", w))
		}
	}
	return wrong
}
