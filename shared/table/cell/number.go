package cell

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// parseInt reads a whole number exactly: 12, +12, 12.0, 1.2e1. It never passes
// through a float, so that 9007199254740993 stays itself.
func parseInt(text []byte) (int64, *Refusal) {
	if n, ok := plainInt(text); ok {
		return n, nil
	}
	d, ok := splitDecimal(text)
	if !ok {
		return 0, notInt
	}
	return d.int()
}

// plainInt reads up to 18 digits with an optional sign, which always fit.
func plainInt(text []byte) (int64, bool) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if text[0] == '-' {
		n = -n
	}
	return n, true
}

// decimal is a number as written: its value is digits times ten to the power of
// exponent.
type decimal struct {
	negative bool
	digits   []byte
	exponent int
}

// splitDecimal takes a number apart; false if the text is not a decimal number.
func splitDecimal(text []byte) (decimal, bool) {
	var d decimal
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		d.negative, text = text[0] == '-', text[1:]
	}
	point := false
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			d.digits = append(d.digits, c)
			if point {
				d.exponent--
			}
		case c == '.' && !point:
			point = true
		case (c == 'e' || c == 'E') && len(d.digits) > 0:
			e, ok := plainInt(text[i+1:])
			if !ok || e > 1_000_000 || e < -1_000_000 {
				return d, false
			}
			d.exponent += int(e)
			return d, true
		default:
			return d, false
		}
	}
	return d, len(d.digits) > 0
}

func (d decimal) int() (int64, *Refusal) {
	digits := bytes.TrimLeft(d.digits, "0")
	if len(digits) == 0 {
		return 0, nil
	}
	if d.exponent < 0 {
		cut := len(digits) + d.exponent
		if cut < 0 || len(bytes.Trim(digits[cut:], "0")) > 0 {
			return 0, notInt
		}
		digits = digits[:cut]
	}
	zeros := max(d.exponent, 0)
	if len(digits)+zeros > 19 {
		return 0, largeInt
	}
	b := make([]byte, 0, 20)
	if d.negative {
		b = append(b, '-')
	}
	b = append(b, digits...)
	for range zeros {
		b = append(b, '0')
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, largeInt
	}
	return n, nil
}

// parseFloat returns the 64-bit float that is nearest to a decimal number, NaN
// for the word. Infinity is refused.
func parseFloat(text []byte) (float64, *Refusal) {
	for _, c := range text {
		if c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E' {
			continue
		}
		switch word(text) {
		case "nan":
			return math.NaN(), nil
		case "inf", "infinity":
			return 0, notFinite
		}
		return 0, notFloat
	}
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, largeFloat
	case err != nil:
		return 0, notFloat
	}
	return f, nil
}

// word returns a short text in lower case without a sign.
func word(text []byte) string {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	if len(text) > len("infinity") {
		return ""
	}
	return string(bytes.ToLower(text))
}

// intOf returns a float as a whole number if it is one of 64 bits.
func intOf(f float64) (int64, *Refusal) {
	switch {
	case f != math.Trunc(f):
		return 0, notInt
	case f < -(1<<63) || f >= 1<<63:
		return 0, largeInt
	}
	return int64(f), nil
}

// plainNumber writes a number with the marks of the rule as a number with a
// point and no groups, into scratch. It returns false where the digits are
// grouped otherwise than by three, which is how a wrong mark shows.
func (c *Column) plainNumber(text, scratch []byte) ([]byte, bool) {
	if c.rule.Percent {
		if t, ok := bytes.CutSuffix(text, []byte("%")); ok {
			text = bytes.TrimRight(t, " \u00a0\u202f")
		}
	}
	decimal, thousands := c.rule.Decimal, c.rule.Thousands
	if decimal == 0 {
		decimal = '.'
	}
	if decimal == '.' && thousands == 0 {
		return text, true
	}
	out := scratch[:0]
	run, groups, after := 0, 0, false
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r == decimal && !after:
			if groups > 0 && run != 3 {
				return nil, false
			}
			out, after = append(out, '.'), true
		case !after && thousands != 0 && (r == thousands || thousands == ' ' && (r == '\u00a0' || r == '\u202f')):
			if run == 0 || run > 3 || groups > 0 && run != 3 {
				return nil, false
			}
			run, groups = 0, groups+1
		case r == '.': // the mark of another country
			return nil, false
		case r >= '0' && r <= '9':
			out, run = append(out, byte(r)), run+1
		default:
			if (r == 'e' || r == 'E') && !after && groups > 0 && run != 3 {
				return nil, false
			}
			if r == 'e' || r == 'E' {
				after = true
			}
			out = utf8.AppendRune(out, r)
		}
	}
	if !after && groups > 0 && run != 3 {
		return nil, false
	}
	return out, true
}
