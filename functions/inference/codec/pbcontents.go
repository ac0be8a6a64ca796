package codec

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// source is the field of a tensor's contents that has the values of a datatype.
type source struct {
	name   string
	number protowire.Number
	kind   protowire.Type
}

func sourceOf(datatype string) source {
	switch datatype {
	case "BOOL":
		return source{"bool_contents", contentsBool, protowire.VarintType}
	case "INT8", "INT16", "INT32":
		return source{"int_contents", contentsInt, protowire.VarintType}
	case "INT64":
		return source{"int64_contents", contentsInt64, protowire.VarintType}
	case "UINT8", "UINT16", "UINT32":
		return source{"uint_contents", contentsUint, protowire.VarintType}
	case "UINT64":
		return source{"uint64_contents", contentsUint64, protowire.VarintType}
	case "FP32":
		return source{"fp32_contents", contentsFP32, protowire.Fixed32Type}
	case "FP64":
		return source{"fp64_contents", contentsFP64, protowire.Fixed64Type}
	}
	return source{"bytes_contents", contentsBytes, protowire.BytesType}
}

// deal distributes values to columns, row by row.
type deal struct {
	to     []column
	kind   kind
	source source
	count  int
	limit  int // what is more is counted only
}

// readContents deals the values of a tensor out to the columns it fills, from
// the field of its datatype.
func (t *tensor) readContents(to []column, k kind, in []byte) error {
	d := deal{to: to, kind: k, source: sourceOf(k.datatype), limit: int(t.shape[0]) * len(to)}
	var f field
	for w := wire(in); len(w) > 0; {
		err := w.next(&f)
		if err == nil && f.is(tensorContents) {
			err = d.read(f.bytes)
		}
		if err != nil {
			return err
		}
	}
	if d.count != d.limit {
		return Invalid("input %s has %d values in %s, the field of datatype %s, and its shape says %d", t.name, d.count, d.source.name, t.datatype, d.limit)
	}
	return nil
}

func (d *deal) read(contents wire) error {
	var f field
	for len(contents) > 0 {
		err := contents.next(&f)
		switch {
		case err != nil:
		case !f.repeats(d.source.number, d.source.kind):
		case d.source.kind == protowire.BytesType:
			if c := d.next(); c != nil {
				err = c.putText(f.bytes)
			}
		case d.source.kind == protowire.VarintType:
			err = f.integers(d.put)
		default:
			err = f.fixed(d.source.kind, d.put)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// next is the column of the next value, nil if there are too many.
func (d *deal) next() *column {
	if d.count++; d.count > d.limit {
		return nil
	}
	return &d.to[(d.count-1)%len(d.to)]
}

// put takes a value as it is on the wire.
func (d *deal) put(v uint64) error {
	c := d.next()
	if c == nil {
		return nil
	}
	switch d.source.number {
	case contentsBool:
		return c.putBool(v != 0)
	case contentsInt:
		i := int32(v)
		if float64(i) < d.kind.low || float64(i) > d.kind.top {
			return c.isNot(i, "a value of "+d.kind.datatype)
		}
		return c.putInt(int64(i))
	case contentsInt64:
		return c.putInt(int64(v))
	case contentsUint:
		u := uint32(v)
		if float64(u) > d.kind.top {
			return c.isNot(u, "a value of "+d.kind.datatype)
		}
		return c.putInt(int64(u))
	case contentsUint64:
		return c.putUint(v)
	case contentsFP32:
		return c.putFloat(float64(math.Float32frombits(uint32(v))))
	}
	return c.putFloat(math.Float64frombits(v))
}
