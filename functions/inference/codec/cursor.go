package codec

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// cursor reads JSON from b in one pass and without allocation. Strings are
// slices of b; those with escapes are unescaped in place, so that bytes which
// are to be read twice must be skipped the first time.
//
// Beyond JSON it knows NaN, Infinity and -Infinity where a number may stand,
// as Python's json and pandas write them.
type cursor struct {
	b  []byte
	at int
}

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 64

func (c *cursor) fail(format string, args ...any) error {
	return Invalid("the body cannot be read as JSON, at byte %d: %s", c.at, fmt.Sprintf(format, args...))
}

// peek returns the next byte that is not a space, 0 at the end.
func (c *cursor) peek() byte {
	for ; c.at < len(c.b); c.at++ {
		switch ch := c.b[c.at]; ch {
		case ' ', '\t', '\n', '\r':
		default:
			return ch
		}
	}
	return 0
}

// found describes the value at the cursor, for error texts.
func (c *cursor) found() string {
	switch ch := c.peek(); {
	case c.at >= len(c.b):
		return "the end"
	case ch == '{':
		return "an object"
	case ch == '[':
		return "a list"
	}
	end := c.at
	for end < len(c.b) && end-c.at < 40 && c.b[end] != ',' && c.b[end] != ']' && c.b[end] != '}' && c.b[end] >= ' ' {
		end++
	}
	return string(c.b[c.at:end])
}

// open goes into an object or a list.
func (c *cursor) open(bracket byte) error {
	if c.peek() != bracket {
		what := "an object"
		if bracket == '[' {
			what = "a list"
		}
		return c.fail("expected %s, found %s", what, c.found())
	}
	c.at++
	return nil
}

// more goes to the next member of an object or a list. After the last one it
// leaves the object or list and returns false.
func (c *cursor) more(first bool, end byte) (bool, error) {
	ch := c.peek()
	if ch == end {
		c.at++
		return false, nil
	}
	if first {
		return true, nil
	}
	if ch != ',' {
		return false, c.fail("expected , or %c, found %s", end, c.found())
	}
	c.at++
	if c.peek() == end {
		return false, c.fail("expected a value after the comma")
	}
	return true, nil
}

// key goes to the next member of an object and reads its name.
func (c *cursor) key(first bool) (name []byte, more bool, err error) {
	if more, err = c.more(first, '}'); !more {
		return nil, false, err
	}
	if name, err = c.text(); err != nil {
		return nil, false, err
	}
	if c.peek() != ':' {
		return nil, false, c.fail("expected : after %q, found %s", name, c.found())
	}
	c.at++
	return name, true, nil
}

// text reads a string.
func (c *cursor) text() ([]byte, error) {
	if c.peek() != '"' {
		return nil, c.fail("expected a string, found %s", c.found())
	}
	start := c.at + 1
	var high byte
	for i := start; i < len(c.b); i++ {
		ch := c.b[i]
		switch {
		case ch == '"':
			c.at = i + 1
			return c.checked(c.b[start:i], high)
		case ch == '\\':
			return c.unescape(start, i)
		case ch < ' ':
			c.at = i
			return nil, c.fail("a control character inside of a string must be escaped")
		}
		high |= ch
	}
	return nil, c.fail("the string does not end")
}

func (c *cursor) checked(s []byte, high byte) ([]byte, error) {
	if high >= utf8.RuneSelf && !utf8.Valid(s) {
		return nil, c.fail("the string before it is not UTF-8")
	}
	return s, nil
}

// unescape reads the rest of a string whose first escape is at i, and
// writes it over itself.
func (c *cursor) unescape(start, i int) ([]byte, error) {
	b, w := c.b, i
	for i < len(b) {
		ch := b[i]
		switch {
		case ch == '"':
			c.at = i + 1
			return c.checked(b[start:w], utf8.RuneSelf)
		case ch < ' ':
			c.at = i
			return nil, c.fail("a control character inside of a string must be escaped")
		case ch != '\\':
			b[w] = ch
			w++
			i++
			continue
		}
		c.at = i
		if i+1 >= len(b) {
			break
		}
		if b[i+1] == 'u' {
			r, n := escapedRune(b[i:])
			if n == 0 {
				return nil, c.fail(`\u must be followed by four hex digits`)
			}
			w += utf8.EncodeRune(b[w:w+utf8.UTFMax], r) // never longer than the escape
			i += n
			continue
		}
		plain := unescaped(b[i+1])
		if plain == 0 {
			return nil, c.fail(`\%c is not an escape`, b[i+1])
		}
		b[w] = plain
		w++
		i += 2
	}
	return nil, c.fail("the string does not end")
}

func unescaped(ch byte) byte {
	switch ch {
	case '"', '\\', '/':
		return ch
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// escapedRune reads \uXXXX, or two of them that make one rune, and how long it
// is; 0 when it is not an escape. Half of a pair is U+FFFD, as encoding/json has it.
func escapedRune(b []byte) (rune, int) {
	r, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if second, ok := hex4(b[6:]); ok {
		if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(view(b[2:6]), 16, 32)
	return rune(n), err == nil
}

// view is b as a string, valid as long as b is not written to.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// literal reads one of the words of JSON.
func (c *cursor) literal(word string) bool {
	if len(c.b)-c.at < len(word) || view(c.b[c.at:c.at+len(word)]) != word {
		return false
	}
	c.at += len(word)
	return true
}

// number is a number of JSON.
type number struct {
	f float64
	// i is the number when whole is set.
	i     int64
	whole bool
}

// powers of ten that a float64 holds exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// number reads a number.
func (c *cursor) number() (number, error) {
	b, start := c.b, c.at
	i := start
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	first := i
	var m uint64
	for ; i < len(b) && b[i]-'0' < 10; i++ {
		m = m*10 + uint64(b[i]-'0')
	}
	digits := i - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		return number{}, c.fail("%s is not a number", c.found())
	}
	if i == len(b) || b[i] != '.' && b[i] != 'e' && b[i] != 'E' {
		c.at = i
		if digits > 18 {
			return c.longWhole(start)
		}
		v := int64(m)
		if negative {
			v = -v
		}
		return number{float64(v), v, true}, nil
	}
	exponent := 0
	if b[i] == '.' {
		i++
		point := i
		for ; i < len(b) && b[i]-'0' < 10; i++ {
			m = m*10 + uint64(b[i]-'0')
		}
		if exponent = point - i; exponent == 0 {
			return number{}, c.fail("%s is not a number", c.found())
		}
		digits -= exponent
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		e, n := readExponent(b[i+1:])
		if n == 0 {
			return number{}, c.fail("%s is not a number", c.found())
		}
		exponent += e
		i += 1 + n
	}
	c.at = i
	// A mantissa and a power of ten that are both exact need one rounding only.
	if digits > 19 || m >= 1<<53 || exponent < -22 || exponent > 22 {
		return c.long(start)
	}
	f := float64(m)
	if exponent < 0 {
		f /= powers[-exponent]
	} else {
		f *= powers[exponent]
	}
	if negative {
		f = -f
	}
	return numberOf(f), nil
}

// readExponent reads what follows an e, and how long it is; 0 when it is malformed.
func readExponent(b []byte) (exponent, length int) {
	i := 0
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	first := i
	for ; i < len(b) && b[i]-'0' < 10; i++ {
		if exponent < 10_000 {
			exponent = exponent*10 + int(b[i]-'0')
		}
	}
	if i == first {
		return 0, 0
	}
	if b[0] == '-' {
		exponent = -exponent
	}
	return exponent, i
}

// longWhole reads again, with all digits, the whole number from start to the cursor.
func (c *cursor) longWhole(start int) (number, error) {
	if v, err := strconv.ParseInt(view(c.b[start:c.at]), 10, 64); err == nil {
		return number{float64(v), v, true}, nil
	}
	return c.long(start)
}

// long reads again, with all digits, the number from start to the cursor.
func (c *cursor) long(start int) (number, error) {
	f, err := strconv.ParseFloat(view(c.b[start:c.at]), 64)
	if err != nil {
		c.at = start
		return number{}, c.fail("%s is too large for a number of 64 bits", c.found())
	}
	return numberOf(f), nil
}

// maxWhole is the largest float64 up to which all whole numbers are exact.
const maxWhole = 1 << 53

// numberOf returns the number that was rounded to f. From maxWhole on, f may
// have been another whole number.
func numberOf(f float64) number {
	if f == math.Trunc(f) && math.Abs(f) < maxWhole {
		return number{f, int64(f), true}
	}
	return number{f: f}
}

// skip goes over a value of any kind without changing a byte.
func (c *cursor) skip(depth int) error {
	if depth > maxDepth {
		return c.fail("values are nested deeper than %d", maxDepth)
	}
	switch ch := c.peek(); ch {
	case '"':
		return c.skipText()
	case '{', '[':
		return c.skipMembers(ch, depth)
	case 't', 'f', 'n', 'N', 'I':
		for _, word := range [...]string{"true", "false", "null", "NaN", "Infinity"} {
			if c.literal(word) {
				return nil
			}
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if c.literal("-Infinity") {
			return nil
		}
		_, err := c.number()
		return err
	}
	return c.fail("expected a value, found %s", c.found())
}

func (c *cursor) skipText() error {
	for i := c.at + 1; i < len(c.b); i++ {
		switch ch := c.b[i]; {
		case ch == '"':
			c.at = i + 1
			return nil
		case ch == '\\':
			c.at = i
			if i++; i == len(c.b) {
				return c.fail("the string does not end")
			}
			if c.b[i] == 'u' {
				if _, ok := hex4(c.b[i-1:]); !ok {
					return c.fail(`\u must be followed by four hex digits`)
				}
			} else if unescaped(c.b[i]) == 0 {
				return c.fail(`\%c is not an escape`, c.b[i])
			}
		case ch < ' ':
			c.at = i
			return c.fail("a control character inside of a string must be escaped")
		}
	}
	return c.fail("the string does not end")
}

func (c *cursor) skipMembers(bracket byte, depth int) error {
	c.at++
	end := bracket + 2 // ] and } stand two places after [ and {
	for first := true; ; first = false {
		more, err := c.more(first, end)
		if !more {
			return err
		}
		if bracket == '{' {
			if c.peek() != '"' {
				return c.fail("expected a string, found %s", c.found())
			}
			if err := c.skipText(); err != nil {
				return err
			}
			if c.peek() != ':' {
				return c.fail("expected :, found %s", c.found())
			}
			c.at++
		}
		if err := c.skip(depth + 1); err != nil {
			return err
		}
	}
}

// end makes sure that nothing follows.
func (c *cursor) end() error {
	if c.peek(); c.at < len(c.b) {
		return c.fail("expected the end, found %s", c.found())
	}
	return nil
}
