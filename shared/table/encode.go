package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/axiomhq/hyperloglog"
	"github.com/klauspost/compress/zstd"
)

// profileMagic begins a stored profile; its last character is the version.
const profileMagic = "MRTP1"

// maxProfile is the size, uncompressed, past which a stored profile is refused.
const maxProfile = 256 << 20

// typeCodes are the types as a stored profile names them.
var typeCodes = [...]Type{String, Int, Float, Bool, Timestamp}

// MarshalBinary returns the whole profile, compressed: the same bytes for the
// same profile. Only what was counted is stored; the figures follow from it.
func (p *Profile) MarshalBinary() ([]byte, error) {
	e := &encoder{}
	e.uint(uint64(p.Rows))
	e.uint(uint64(len(p.Columns)))
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.isSummary() {
			return nil, fmt.Errorf("store a profile: column %q is a summary", c.Name)
		}
		if err := e.column(c); err != nil {
			return nil, fmt.Errorf("store the profile of column %q: %w", c.Name, err)
		}
	}
	// One thread: how several divide the work shows in the bytes.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.EncodeAll(e.data, []byte(profileMagic)), nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (p *Profile) UnmarshalBinary(data []byte) error {
	if len(data) < len(profileMagic) || string(data[:len(profileMagic)]) != profileMagic {
		return errors.New("read a profile: it does not begin as one")
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxProfile))
	if err != nil {
		return err
	}
	defer z.Close()
	plain, err := z.DecodeAll(data[len(profileMagic):], nil)
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	d := &profileDecoder{data: plain}
	read := Profile{Rows: d.int()}
	for range d.size(1) {
		read.Columns = append(read.Columns, d.column(read.Rows))
		if d.err != nil {
			break
		}
	}
	if d.err == nil && len(d.data) > 0 {
		d.fail("it has more data after its end")
	}
	if d.err != nil {
		return fmt.Errorf("read a profile: %w", d.err)
	}
	*p = read
	return nil
}

type encoder struct{ data []byte }

func (e *encoder) uint(v uint64) { e.data = binary.AppendUvarint(e.data, v) }
func (e *encoder) text(s string) { e.uint(uint64(len(s))); e.data = append(e.data, s...) }
func (e *encoder) float(v float64) {
	e.data = binary.BigEndian.AppendUint64(e.data, math.Float64bits(v))
}

func (e *encoder) column(c *ColumnProfile) error {
	e.text(c.Name)
	for code, t := range typeCodes {
		if t == c.Type {
			e.uint(uint64(code))
		}
	}
	e.uint(uint64(c.Nulls))
	e.uint(uint64(c.NonFinite))
	s := c.sketch
	if s == nil {
		e.uint(1)
		e.entries(c.Type, c.values)
		return nil
	}
	e.uint(0)
	e.uint(uint64(s.count))
	e.entries(c.Type, []entry{s.least})
	e.entries(c.Type, []entry{s.greatest})
	e.float(s.mean)
	e.float(s.m2)
	e.entries(c.Type, s.top)
	distinct, err := s.distinct.MarshalBinary()
	if err != nil {
		return err
	}
	e.text(string(distinct))
	if s.quantiles == nil {
		return nil
	}
	e.uint(uint64(len(s.quantiles.levels)))
	for _, l := range s.quantiles.levels {
		odd := uint64(0)
		if l.odd {
			odd = 1
		}
		e.uint(odd)
		e.uint(uint64(len(l.keys)))
		for _, k := range l.keys {
			e.data = binary.BigEndian.AppendUint64(e.data, k)
		}
	}
	return nil
}

// entries writes ascending values: numbers as the steps between them.
func (e *encoder) entries(typ Type, values []entry) {
	e.uint(uint64(len(values)))
	last := uint64(0)
	for _, v := range values {
		if typ == String {
			e.text(v.text)
		} else {
			e.uint(v.key - last)
			last = v.key
		}
		e.uint(uint64(v.n))
	}
}

// profileDecoder reads what encoder wrote. After the first error it yields
// zeros.
type profileDecoder struct {
	data []byte
	err  error
}

func (d *profileDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.data = nil
}

func (d *profileDecoder) uint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("it is cut off")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// int reads a number of rows, which the others may be added to.
func (d *profileDecoder) int() int64 {
	v := d.uint()
	if v > math.MaxInt64/4 {
		d.fail("a count of %d", v)
		return 0
	}
	return int64(v)
}

// size reads how many things of at least so many bytes follow.
func (d *profileDecoder) size(bytes int) int {
	n := d.uint()
	if n > uint64(len(d.data)/bytes) {
		d.fail("it is cut off")
		return 0
	}
	return int(n)
}

func (d *profileDecoder) text() string {
	n := d.size(1)
	if d.err != nil {
		return ""
	}
	s := string(d.data[:n])
	d.data = d.data[n:]
	return s
}

func (d *profileDecoder) fixed() uint64 {
	if len(d.data) < 8 {
		d.fail("it is cut off")
		return 0
	}
	v := binary.BigEndian.Uint64(d.data)
	d.data = d.data[8:]
	return v
}

func (d *profileDecoder) column(rows int64) ColumnProfile {
	name := d.text()
	code := d.uint()
	if code >= uint64(len(typeCodes)) {
		d.fail("column %q is of an unknown type", name)
		return ColumnProfile{}
	}
	typ := typeCodes[code]
	nulls, nonFinite := d.int(), d.int()
	if nonFinite > nulls {
		d.fail("column %q has more NaN and infinite numbers than nulls", name)
	}
	var values []entry
	var s *sketch
	var count int64
	if d.uint() == 1 {
		if values = d.entries(typ); len(values) > MaxDistinct {
			d.fail("column %q has %d values", name, len(values))
		}
		count, _, _ = moments(String, values)
	} else {
		s = d.sketch(typ)
		count = s.count
	}
	if d.err == nil && count+nulls != rows {
		d.fail("column %q has %d rows of %d", name, count+nulls, rows)
	}
	if d.err != nil {
		return ColumnProfile{}
	}
	return newColumn(name, typ, nulls, nonFinite, values, s)
}

func (d *profileDecoder) entries(typ Type) []entry {
	n := d.size(2)
	values := make([]entry, 0, n)
	for i := range n {
		var e entry
		if typ == String {
			e.text = d.text()
			e.key = textKey(e.text)
		} else {
			e.key = d.uint()
			if i > 0 {
				e.key += values[i-1].key
			}
			if typ == Float && !finite(keyFloat(e.key)) || typ == Bool && e.key != boolKey(false) && e.key != boolKey(true) {
				d.fail("a value is invalid for its type")
			}
		}
		if e.n = d.int(); e.n == 0 || i > 0 && compareEntries(values[i-1], e) >= 0 {
			d.fail("values are not in order")
		}
		if d.err != nil {
			return nil
		}
		values = append(values, e)
	}
	return values
}

func (d *profileDecoder) sketch(typ Type) *sketch {
	s := &sketch{count: d.int()}
	least, greatest := d.entries(typ), d.entries(typ)
	s.mean, s.m2 = math.Float64frombits(d.fixed()), math.Float64frombits(d.fixed())
	s.top = d.entries(typ)
	distinct := d.text()
	if d.err == nil && (s.count == 0 || len(least) != 1 || len(greatest) != 1 || !finite(s.mean) || !(s.m2 >= 0) || !finite(s.m2)) {
		d.fail("a sketch of nothing")
	}
	if d.err != nil {
		return s
	}
	s.least, s.greatest = least[0], greatest[0]
	s.distinct = &hyperloglog.Sketch{}
	if err := s.distinct.UnmarshalBinary([]byte(distinct)); err != nil {
		d.fail("%w", err)
		return s
	}
	if typ == String {
		return s
	}
	s.quantiles = &quantiles{}
	for range d.size(2) {
		l := level{odd: d.uint() == 1}
		for range d.size(8) {
			l.keys = append(l.keys, d.fixed())
		}
		s.quantiles.levels = append(s.quantiles.levels, l)
	}
	d.checkQuantiles(typ, s)
	return s
}

// checkQuantiles holds the quantiles against the number of values they stand
// for.
func (d *profileDecoder) checkQuantiles(typ Type, s *sketch) {
	var n int64
	if len(s.quantiles.levels) > 62 {
		d.fail("quantiles of %d levels", len(s.quantiles.levels))
		return
	}
	for i, l := range s.quantiles.levels {
		for _, k := range l.keys {
			if typ == Float && !finite(keyFloat(k)) {
				d.fail("a quantile that is no number")
			}
		}
		if int64(len(l.keys)) > s.count>>i {
			d.fail("quantiles of more values than there are")
			return
		}
		n += int64(len(l.keys)) << i
	}
	if n != s.count {
		d.fail("quantiles of %d values instead of %d", n, s.count)
	}
}
