package cell

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/table"
)

// Column gathers values of one column. Each Add method appends one row; if it
// returns a Refusal, the row is null and the value does not fit the rule. It is
// not safe for concurrent use.
type Column struct {
	rule   Rule
	nulls  map[string]bool
	words  map[string]bool // of true and false, in lower case
	given  bool            // words are the rule's own
	epoch  time.Duration
	number bool // a word of nulls looks like a number

	vector  table.Vector
	rows    int
	text    []byte // of strings, one after the other
	ends    []int
	scratch []byte
}

// New returns a Column that reads values by the rule.
func New(rule Rule) *Column {
	c := &Column{rule: rule, nulls: map[string]bool{}, words: map[string]bool{}, epoch: Epochs[rule.Format], scratch: make([]byte, 0, 64)}
	words := rule.Nulls
	if words == nil {
		words = DefaultNulls
	}
	for _, w := range words {
		c.nulls[w] = true
		if _, ok := splitDecimal([]byte(w)); ok {
			c.number = true
		}
	}
	for _, w := range rule.Keep {
		delete(c.nulls, w)
	}
	trues, falses := rule.True, rule.False
	c.given = len(trues)+len(falses) > 0
	if len(trues) == 0 && len(falses) == 0 {
		trues, falses = usualTrue, usualFalse
	}
	for _, w := range trues {
		c.words[strings.ToLower(w)] = true
	}
	for _, w := range falses {
		c.words[strings.ToLower(w)] = false
	}
	return c
}

// Type returns the type of the column.
func (c *Column) Type() table.Type { return c.rule.Type }

// Vector returns the rows so far. It is valid until Reset.
func (c *Column) Vector() table.Vector {
	if c.rule.Type == table.String {
		all, from := string(c.text), 0
		for _, end := range c.ends {
			c.vector.Strings = append(c.vector.Strings, all[from:end])
			from = end
		}
		c.text, c.ends = c.text[:0], c.ends[:0]
	}
	return c.vector
}

// Reset forgets the rows and keeps their memory.
func (c *Column) Reset() {
	v := &c.vector
	clear(v.Strings)
	v.Strings, v.Ints, v.Floats, v.Bools, v.Nulls = v.Strings[:0], v.Ints[:0], v.Floats[:0], v.Bools[:0], nil
	c.text, c.ends, c.rows = c.text[:0], c.ends[:0], 0
}

// AddText appends a value as it is written. quoted says that it stood in quotes,
// which makes words for a missing value, and the empty text, values of a string
// column.
func (c *Column) AddText(text []byte, quoted bool) *Refusal {
	if c.rule.Type == table.String {
		if !quoted && (len(text) == 0 && !c.keepsEmpty() || len(text) > 0 && c.nulls[string(text)]) {
			c.AddNull()
			return nil
		}
		c.addString(text)
		return nil
	}
	text = trim(text)
	if len(text) == 0 || c.nulls[string(text)] {
		c.AddNull()
		return nil
	}
	refusal := c.addWritten(text)
	if refusal != nil {
		c.AddNull()
	}
	return refusal
}

func (c *Column) keepsEmpty() bool {
	return slices.Contains(c.rule.Keep, "")
}

func trim(text []byte) []byte {
	if n := len(text); n > 0 && text[0] > ' ' && text[n-1] > ' ' {
		return text
	}
	return bytes.Trim(text, " \t")
}

// addWritten appends a text that is a value.
func (c *Column) addWritten(text []byte) *Refusal {
	switch c.rule.Type {
	case table.Int:
		n, refusal := c.writtenInt(text)
		if refusal == nil {
			c.addInt(n)
		}
		return refusal
	case table.Float:
		f, refusal := c.writtenFloat(text)
		if refusal == nil {
			c.addFloat(f)
		}
		return refusal
	case table.Bool:
		b, refusal := c.writtenBool(text)
		if refusal == nil {
			c.addBool(b)
		}
		return refusal
	default:
		micros, refusal := c.micros(text)
		if refusal == nil {
			c.addInt(micros)
		}
		return refusal
	}
}

func (c *Column) writtenInt(text []byte) (int64, *Refusal) {
	plain, ok := c.plainNumber(text, c.scratch)
	if !ok {
		return 0, c.otherMarks(notInt)
	}
	n, refusal := parseInt(plain)
	if refusal == notInt {
		if b, ok := truth(plain); ok {
			return b, nil
		}
		if f, refused := parseFloat(plain); refused == nil && math.IsNaN(f) {
			return 0, notInt
		}
	}
	return n, refusal
}

func (c *Column) writtenFloat(text []byte) (float64, *Refusal) {
	plain, ok := c.plainNumber(text, c.scratch)
	if !ok {
		return 0, c.otherMarks(notFloat)
	}
	f, refusal := parseFloat(plain)
	if refusal == notFloat {
		if b, ok := truth(plain); ok {
			return float64(b), nil
		}
		if c.rule.Decimal == 0 && c.rule.Thousands == 0 && bytes.IndexByte(text, ',') >= 0 {
			return 0, &Refusal{Reason: notFloat.Reason, Try: `if "," is the decimal mark, state data.csv.decimal; if it groups digits, data.csv.thousands`}
		}
	}
	return f, refusal
}

func (c *Column) otherMarks(r *Refusal) *Refusal {
	decimal := c.rule.Decimal
	if decimal == 0 {
		decimal = '.'
	}
	return &Refusal{
		Reason: r.Reason + " with the decimal mark " + strconv.Quote(string(decimal)) + " and digits grouped by three",
		Try:    "correct the value, or data.csv.decimal and data.csv.thousands",
	}
}

// truth reads true and false, which JSON and Parquet have as values of their
// own, as numbers.
func truth(text []byte) (int64, bool) {
	switch {
	case bytes.EqualFold(text, []byte("true")):
		return 1, true
	case bytes.EqualFold(text, []byte("false")):
		return 0, true
	}
	return 0, false
}

func (c *Column) writtenBool(text []byte) (bool, *Refusal) {
	if len(text) <= 64 {
		var buf [64]byte
		if b, ok := c.words[string(lower(buf[:0], text))]; ok {
			return b, nil
		}
	}
	if c.given {
		if b, ok := c.words[strings.ToLower(string(text))]; ok {
			return b, nil
		}
		return false, wordsNeeded
	}
	if d, ok := splitDecimal(text); ok {
		if n, refusal := d.int(); refusal == nil && (n == 0 || n == 1) {
			return n == 1, nil
		}
	}
	return false, notBool
}

func lower(to, text []byte) []byte {
	for _, b := range text {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		to = append(to, b)
	}
	return to
}

// AddNull appends a missing value.
func (c *Column) AddNull() {
	v := &c.vector
	if v.Nulls == nil {
		v.Nulls = make([]bool, c.rows, max(1024, 2*c.rows))
	}
	switch c.rule.Type {
	case table.String:
		c.ends = append(c.ends, len(c.text))
	case table.Float:
		v.Floats = append(v.Floats, 0)
	case table.Bool:
		v.Bools = append(v.Bools, false)
	default:
		v.Ints = append(v.Ints, 0)
	}
	v.Nulls = append(v.Nulls, true)
	c.rows++
}

func (c *Column) added() {
	if c.vector.Nulls != nil {
		c.vector.Nulls = append(c.vector.Nulls, false)
	}
	c.rows++
}

func (c *Column) addString(text []byte) {
	c.text = append(c.text, text...)
	c.ends = append(c.ends, len(c.text))
	c.added()
}

func (c *Column) addInt(n int64) {
	c.vector.Ints = append(c.vector.Ints, n)
	c.added()
}

func (c *Column) addFloat(f float64) {
	if math.IsNaN(f) {
		c.AddNull()
		return
	}
	c.vector.Floats = append(c.vector.Floats, f+0) // -0 is 0
	c.added()
}

func (c *Column) addBool(b bool) {
	c.vector.Bools = append(c.vector.Bools, b)
	c.added()
}

// refused appends a null for a value that does not fit.
func (c *Column) refused(r *Refusal) *Refusal {
	c.AddNull()
	return r
}
