package codec

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"millrace.dev/shared/onnx"
)

// Binary tensors: the values of a tensor one after the other, little-endian,
// row by row. A BOOL is a byte; BYTES are a length of four bytes and so many.

// fixed are the datatypes whose values have a fixed size.
var fixed = map[string]struct {
	size int
	put  func(*column, []byte) error
}{
	"BOOL": {1, func(c *column, b []byte) error {
		if b[0] > 1 {
			return c.isNot(b[0], "true or false (a byte of 1 or 0)")
		}
		return c.putBool(b[0] == 1)
	}},
	"INT8":   {1, func(c *column, b []byte) error { return c.putInt(int64(int8(b[0]))) }}, //nolint:gosec // the same bits
	"INT16":  {2, func(c *column, b []byte) error { return c.putInt(int64(int16(binary.LittleEndian.Uint16(b)))) }},
	"INT32":  {4, func(c *column, b []byte) error { return c.putInt(int64(int32(binary.LittleEndian.Uint32(b)))) }},
	"INT64":  {8, func(c *column, b []byte) error { return c.putInt(int64(binary.LittleEndian.Uint64(b))) }}, //nolint:gosec // the same bits
	"UINT8":  {1, func(c *column, b []byte) error { return c.putInt(int64(b[0])) }},
	"UINT16": {2, func(c *column, b []byte) error { return c.putInt(int64(binary.LittleEndian.Uint16(b))) }},
	"UINT32": {4, func(c *column, b []byte) error { return c.putInt(int64(binary.LittleEndian.Uint32(b))) }},
	"UINT64": {8, func(c *column, b []byte) error { return c.putUint(binary.LittleEndian.Uint64(b)) }},
	"FP16":   {2, func(c *column, b []byte) error { return c.putFloat(float16(binary.LittleEndian.Uint16(b))) }},
	"BF16": {2, func(c *column, b []byte) error {
		return c.putFloat(float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)))
	}},
	"FP32": {4, func(c *column, b []byte) error {
		return c.putFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	}},
	"FP64": {8, func(c *column, b []byte) error {
		return c.putFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}},
}

// float16 is the value of a half-precision number.
func float16(bits uint16) float64 {
	sign, exponent, fraction := 1.0, int(bits>>10&31), float64(bits&1023)
	if bits>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction == 0 {
			return math.Inf(int(sign))
		}
		return math.NaN()
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// readBinary reads a tensor whose values follow the JSON.
func (q *Request) readBinary(t *tensor) error {
	if t.size > int64(len(q.raw)) {
		return Invalid("input %s has %d bytes of binary data, and %d are left in the body; does %s say how long the JSON is?", t.name, t.size, len(q.raw), HeaderJSON)
	}
	data := q.raw[:t.size]
	q.raw = q.raw[t.size:]
	to, _, err := q.place(t, true)
	if err != nil || to == nil {
		return err
	}
	return t.readRaw(to, data)
}

// readBare reads a body that is nothing but the values of the only input.
func (q *Request) readBare() error {
	t := &q.tensor
	in := &q.schema.Inputs[0]
	*t = tensor{name: []byte(in.Name), datatype: []byte(in.Datatype), rank: 2}
	for i := range q.schema.Inputs {
		if q.schema.Inputs[i].Datatype != in.Datatype || !q.schema.matrix && len(q.schema.Inputs) > 1 {
			return Invalid("a body without JSON is for models with one input, and version %s of %s has %d; say in %s how many bytes of the body are JSON", q.schema.Version, q.schema.Model, len(q.schema.Inputs), HeaderJSON)
		}
	}
	if len(q.schema.Inputs) > 1 {
		t.name = nil // a matrix has no name of its own
	}
	q.binary = true
	width := len(q.schema.Inputs)
	data := q.raw
	if in.Datatype == "BYTES" {
		// The whole body is the one value, without its length.
		t.shape = [4]int64{1, 1}
		to, _, err := q.place(t, true)
		if err != nil {
			return err
		}
		if err := to[0].putText(data); err != nil {
			return err
		}
		return nil
	}
	row := width * fixed[in.Datatype].size
	if len(data)%row != 0 {
		return Invalid("the body has %d bytes, which is not a multiple of a row's %d bytes (%d values of datatype %s)", len(data), row, width, in.Datatype)
	}
	t.shape = [4]int64{int64(len(data) / row), int64(width)}
	to, _, err := q.place(t, true)
	if err != nil {
		return err
	}
	if err := t.readRaw(to, data); err != nil {
		return err
	}
	return nil
}

// readRaw deals the values of a tensor out to the columns it fills.
func (t *tensor) readRaw(to []column, data []byte) error {
	n := int(t.shape[0]) * len(to)
	if view(t.datatype) == "BYTES" {
		return to[0].readTexts(data, n)
	}
	d := fixed[view(t.datatype)]
	if len(data) != n*d.size {
		return Invalid("input %s has %d bytes of data; %d values of datatype %s have %d", t.name, len(data), n, t.datatype, n*d.size)
	}
	if len(to) == 1 {
		to[0].grow(n)
	}
	for i := range n {
		if err := d.put(&to[i%len(to)], data[i*d.size:]); err != nil {
			return err
		}
	}
	return nil
}

func (c *column) readTexts(data []byte, n int) error {
	for range n {
		if len(data) < 4 || int64(binary.LittleEndian.Uint32(data)) > int64(len(data)-4) {
			return Invalid("input %s: the data ends within value %d; each of BYTES is its length in four bytes, little-endian, and the bytes", c.Name, c.rows)
		}
		end := 4 + int(binary.LittleEndian.Uint32(data))
		if err := c.putText(data[4:end]); err != nil {
			return err
		}
		data = data[end:]
	}
	if len(data) > 0 {
		return Invalid("input %s: %d bytes are left after its %d values", c.Name, len(data), n)
	}
	return nil
}

// grow makes room for n more values.
func (c *column) grow(n int) {
	switch c.feature.Type {
	case onnx.String:
		c.Strings = slices.Grow(c.Strings, n)
	case onnx.Float:
		c.Floats = slices.Grow(c.Floats, n)
	case onnx.Bool:
		c.Bools = slices.Grow(c.Bools, n)
	default:
		c.Ints = slices.Grow(c.Ints, n)
	}
}

// The columns take values of any datatype that keep their meaning, as they do
// from JSON. kindOf has refused the other datatypes.

func (c *column) isNot(value any, want string) error {
	return Invalid("column %s, row %d: %v is not %s", c.Name, c.rows, value, want)
}

// put counts a value that has been appended.
func (c *column) put() error {
	c.rows++
	if c.Nulls != nil {
		c.Nulls = append(c.Nulls, false)
		c.nulls = c.Nulls
	}
	return nil
}

// putFloat appends a number; NaN is a missing value.
func (c *column) putFloat(x float64) error {
	switch {
	case math.IsNaN(x):
		c.addNull()
		return nil
	case math.IsInf(x, 0):
		return c.infinite()
	case c.feature.Type == onnx.Float:
		c.Floats = append(c.Floats, x)
		return c.put()
	case x != math.Trunc(x) || math.Abs(x) > maxWhole:
		return c.isNot(x, "a whole number of 64 bits, and the column is of type "+string(c.feature.Type))
	}
	return c.putInt(int64(x))
}

func (c *column) putInt(i int64) error {
	switch c.feature.Type {
	case onnx.Float:
		if (i > maxWhole || i < -maxWhole) && int64(float64(i)) != i {
			return Invalid("column %s, row %d: %d has more digits than a float holds", c.Name, c.rows, i)
		}
		c.Floats = append(c.Floats, float64(i))
	case onnx.Bool:
		if i != 0 && i != 1 {
			return c.isNot(i, "true or false")
		}
		c.Bools = append(c.Bools, i == 1)
	default:
		c.Ints = append(c.Ints, i)
	}
	return c.put()
}

func (c *column) putUint(u uint64) error {
	switch {
	case u <= math.MaxInt64:
		return c.putInt(int64(u))
	case c.feature.Type != onnx.Float:
		return c.isNot(u, "a number of a column of type "+string(c.feature.Type))
	case u<<53 != 0:
		return Invalid("column %s, row %d: %d has more digits than a float holds", c.Name, c.rows, u)
	}
	c.Floats = append(c.Floats, float64(u))
	return c.put()
}

func (c *column) putBool(b bool) error {
	i := int64(0)
	if b {
		i = 1
	}
	return c.putInt(i)
}

// putText appends a string, which stays a view of b; or a timestamp of RFC 3339.
func (c *column) putText(b []byte) error {
	text := view(b)
	if c.feature.Type == onnx.Timestamp {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return c.isNot(strconv.Quote(text), "a timestamp: send microseconds since 1970 or an RFC 3339 text")
		}
		c.Ints = append(c.Ints, t.UnixMicro())
		return c.put()
	}
	switch {
	case !utf8.ValidString(text):
		return Invalid("column %s, row %d: the string is not UTF-8", c.Name, c.rows)
	case strings.IndexByte(text, 0) >= 0:
		return Invalid("column %s, row %d: the string has a NUL in it, which models cannot take", c.Name, c.rows)
	}
	c.Strings = append(c.Strings, text)
	return c.put()
}

// rawSize is the size of an output as a binary tensor.
func (q *Request) rawSize(o *Tensor) int {
	if o.Name != outputLabel {
		return len(q.Scores.Values) * q.schema.bits / 8
	}
	n := 0
	for _, class := range q.Labels {
		n += 4 + len(q.label(class))
	}
	return n
}

// appendRaw writes an output as a binary tensor.
func (q *Request) appendRaw(b []byte, o *Tensor) []byte {
	if o.Name == outputLabel {
		for _, i := range q.Labels {
			class := q.label(i)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(class))) //nolint:gosec // names of classes are short
			b = append(b, class...)
		}
		return b
	}
	for _, x := range q.Scores.Values {
		if q.schema.bits == 64 {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		} else {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		}
	}
	return b
}
