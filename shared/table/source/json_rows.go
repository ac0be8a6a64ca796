package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/cell"
)

// scanFirst is how many objects are looked at for keys before reading. Objects
// that have others cost a second pass.
const scanFirst = 1000

// readJSON reads JSON into b. A pass before it finds the keys: of the first
// objects, or of all where these do not have all keys or types are inferred.
func (in *input) readJSON(ctx context.Context, b *builder) error {
	most := int64(scanFirst)
	if in.opts.Extra == Infer {
		most = math.MaxInt64
	}
	err := in.readJSONAs(ctx, b, most)
	var missing *missingColumns
	if most == scanFirst && (errors.Is(err, errNewKey) || errors.As(err, &missing)) {
		b.abort()
		*b = builder{in: b.in, out: b.out}
		err = in.readJSONAs(ctx, b, math.MaxInt64)
	}
	if errors.As(err, &missing) {
		return missing.error
	}
	return err
}

// missingColumns says that the objects seen lack columns of the contract.
type missingColumns struct{ error }

func (in *input) readJSONAs(ctx context.Context, b *builder, most int64) error {
	keys, types, err := in.scanJSON(ctx, most)
	if err != nil {
		return err
	}
	r, err := in.openJSON(ctx)
	if err != nil {
		return err
	}
	defer r.u.Close()
	for i, k := range keys {
		name, err := jsontext.AppendQuote(nil, k)
		if err != nil {
			return err
		}
		r.names[string(name)] = i
	}
	r.keys = keys
	row := &jsonRow{b: b, r: r, wanted: in.opts.Wanted()}
	b.raw = row.raw
	if row.slots, err = b.plan(keys, types); err != nil {
		return &missingColumns{err}
	}
	row.set = make([]int64, len(b.columns))
	for {
		row.line = b.rows + 1 // for set, which only compares
		row.places, row.written = row.places[:0], row.written[:0]
		line, err := r.next(row.add)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *badLine
		switch {
		case b.aside != nil && errors.As(err, &bad):
			row.places = row.places[:0]
			b.malformed(line, bad)
		case err != nil:
			return err
		}
		for ; row.known < len(r.keys); row.known++ {
			if row.known >= len(keys) && row.wanted(r.keys[row.known]) {
				return errNewKey
			}
		}
		for _, p := range row.places {
			b.fault(p.column, b.rows, line, p.value, p.refusal)
		}
		for i, c := range b.columns {
			if row.set[i] != b.rows+1 && !c.missing {
				c.cell.AddNull()
			}
		}
		if err := b.endRow(line); err != nil {
			return err
		}
	}
}

// scanJSON returns the keys of the first objects, and the types of their values
// where these are wanted.
func (in *input) scanJSON(ctx context.Context, most int64) ([]string, func(int) table.Type, error) {
	r, err := in.openJSON(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer r.u.Close()
	var found inferences
	var rows int64
	see := func(key int, kind jsontext.Kind, raw jsontext.Value) {
		if in.opts.Extra != Infer {
			return
		}
		for len(found) <= key {
			found = append(found, cell.NewInference(in.opts.Nulls))
		}
		switch kind {
		case 'n':
		case '"':
			if text, err := jsontext.AppendUnquote(nil, raw); err == nil {
				found[key].See(text, true)
			}
		default:
			found[key].See(raw, false)
		}
	}
	for rows < most {
		_, err := r.next(see)
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *badLine
		if err != nil && (in.opts.SetAside == nil || !errors.As(err, &bad)) {
			return nil, nil, err
		}
		if rows++; rows > in.lim.Rows {
			return nil, nil, in.rowsAllowed(rows)
		}
	}
	if rows == 0 {
		return nil, nil, in.reject("it has no rows", "add at least one row")
	}
	if in.opts.Extra != Infer {
		return r.keys, nil, nil
	}
	return r.keys, found.typeOf, nil
}

// jsonRow puts the members of one object into the columns.
type jsonRow struct {
	b      *builder
	r      *jsonReader
	slots  []int
	line   int64
	set    []int64 // the row in which a column was set last
	places []misfit
	text   []byte
	known  int // keys that were looked at
	wanted func(key string) bool

	written []byte // the members of an object in an array, where raw is wanted
}

// raw returns the object as it is written.
func (j *jsonRow) raw(int) string {
	if j.r.lines != nil {
		return string(j.r.raw)
	}
	return "{" + string(j.written) + "}"
}

// note keeps a member as it is written.
func (j *jsonRow) note(key int, raw jsontext.Value) {
	if len(j.written) > 0 {
		j.written = append(j.written, ", "...)
	}
	j.written, _ = jsontext.AppendQuote(j.written, j.r.keys[key]) // the decoder has seen that it is valid
	j.written = append(append(j.written, ": "...), raw...)
}

type misfit struct {
	column  int
	value   []byte
	refusal *cell.Refusal
}

func (j *jsonRow) add(key int, kind jsontext.Kind, raw jsontext.Value) {
	if j.b.aside != nil && j.r.lines == nil {
		j.note(key, raw)
	}
	if key >= len(j.slots) || j.slots[key] < 0 {
		return
	}
	slot := j.slots[key]
	c := j.b.columns[slot]
	j.set[slot] = j.line
	var refusal *cell.Refusal
	text := []byte(raw)
	switch kind {
	case 'n':
		c.cell.AddNull()
		return
	case '"':
		j.text, _ = jsontext.AppendUnquote(j.text[:0], raw) // the decoder has seen that it is valid
		text = j.text
		refusal = c.cell.AddText(text, true)
	case '[', '{':
		if c.cell.Type() == table.String {
			refusal = c.cell.AddText(text, true)
			break
		}
		c.cell.AddNull()
		refusal = nested(kind)
	default:
		refusal = c.cell.AddText(text, false)
	}
	if refusal != nil {
		j.places = append(j.places, misfit{slot, bytes.Clone(text), refusal})
	}
}

// nested refuses an array or an object as a value of a column that is not text.
func nested(kind jsontext.Kind) *cell.Refusal {
	return &cell.Refusal{
		Reason: "is " + map[jsontext.Kind]string{'[': "an array", '{': "an object"}[kind] + ", which only a string column takes, as its JSON text",
		Try:    "make the column a string, leave it out, or take its values out of it before",
	}
}
