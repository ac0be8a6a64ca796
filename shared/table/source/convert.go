package source

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// Natural is what is known about a column of a table that Convert reads, beside
// its type.
type Natural struct {
	Name string
	// Type is the type of the column where no contract states one. Numbers that
	// a canonical table cannot hold exactly come as text.
	Type table.Type
	// Wall says that a timestamp has no zone of its own, Date that it is a day.
	Wall, Date bool
}

// Convert reads the canonical table at path, whose columns are natural's in
// their order, and writes it to out as Read does. name is what it is called in
// sentences about it, and of whose rows they are, if not the file's.
func Convert(ctx context.Context, path, name, of string, natural []Natural, opts Options, lim Limits, out string) (*Result, error) {
	in := &input{src: Source{Path: path, Name: name}, format: Parquet, lim: lim.WithDefaults(), opts: &opts, of: of}
	b := &builder{in: in, out: out}
	defer b.abort()
	if err := in.convert(ctx, b, path, natural); err != nil {
		return nil, err
	}
	return b.finish()
}

// convert reads the canonical table at path.
func (in *input) convert(ctx context.Context, b *builder, path string, natural []Natural) (err error) {
	names := make([]string, len(natural))
	for i, n := range natural {
		names[i] = n.Name
	}
	slots, err := b.plan(names, func(i int) table.Type { return natural[i].Type })
	if err != nil {
		return err
	}
	r, err := table.Open(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		batch, err := r.Next(b.batch - b.pending)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, slot := range slots {
			if slot >= 0 {
				c := &conversion{b: b, slot: slot, natural: natural[i], v: &batch.Columns[i]}
				c.addAll(batch.Schema[i].Type, batch.Rows)
			}
		}
		for i, c := range b.columns {
			for row := range batch.Rows {
				if c.missing {
					b.addDefault(i, c, b.rows+int64(row), b.rows+int64(row)+1)
				}
			}
		}
		if b.aside != nil {
			b.aside.raw = func(i int) string { return rowText(batch, natural, i) }
		}
		if err := b.endRows(batch.Rows, b.rows+1); err != nil {
			return err
		}
	}
}

// conversion adds one column of a batch to a column of the table.
type conversion struct {
	b       *builder
	slot    int
	natural Natural
	v       *table.Vector
}

func (c *conversion) addAll(typ table.Type, rows int) {
	to := c.b.columns[c.slot].cell
	for i := range rows {
		if c.v.Null(i) {
			to.AddNull()
			continue
		}
		var refusal *cell.Refusal
		switch typ {
		case table.String:
			refusal = to.AddText([]byte(c.v.Strings[i]), true)
		case table.Int:
			refusal = to.AddInt(c.v.Ints[i])
		case table.Float:
			refusal = to.AddFloat(c.v.Floats[i])
		case table.Bool:
			refusal = to.AddBool(c.v.Bools[i])
		case table.Timestamp:
			refusal = to.AddTime(c.v.Ints[i], c.natural.Wall, c.natural.Date)
		}
		if refusal != nil {
			row := c.b.rows + int64(i)
			c.b.fault(c.slot, row, row+1, []byte(c.written(typ, i)), refusal)
		}
	}
}

// rowText writes a row as a JSON object.
func rowText(batch *table.Batch, natural []Natural, i int) string {
	text := []byte{'{'}
	for k := range batch.Columns {
		c := &conversion{natural: natural[k], v: &batch.Columns[k]}
		var value any
		switch typ := batch.Schema[k].Type; {
		case c.v.Null(i):
		case typ == table.Int:
			value = c.v.Ints[i]
		case typ == table.Bool:
			value = c.v.Bools[i]
		case typ == table.Float && !math.IsNaN(c.v.Floats[i]) && !math.IsInf(c.v.Floats[i], 0):
			value = c.v.Floats[i]
		default:
			value = c.written(typ, i)
		}
		if k > 0 {
			text = append(text, ", "...)
		}
		name, _ := json.Marshal(batch.Schema[k].Name) // neither a text nor a number can fail
		written, _ := json.Marshal(value)
		text = append(append(append(text, name...), ": "...), written...)
	}
	return string(append(text, '}'))
}

// written shows a value in a sentence.
func (c *conversion) written(typ table.Type, i int) string {
	switch typ {
	case table.Int:
		return strconv.FormatInt(c.v.Ints[i], 10)
	case table.Float:
		return cell.FloatText(c.v.Floats[i])
	case table.Bool:
		if c.v.Bools[i] {
			return "true"
		}
		return "false"
	case table.Timestamp:
		switch n := c.v.Ints[i]; n {
		case math.MaxInt64:
			return "infinity"
		case -math.MaxInt64:
			return "-infinity"
		default:
			return cell.TimeText(n, c.natural.Wall, c.natural.Date)
		}
	}
	return c.v.Strings[i]
}
