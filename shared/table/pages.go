package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// run is some consecutive values of one column as the file holds them: indices
// into a dictionary, or plain values. Nulls are not among the values.
type run struct {
	rows  int
	nulls int
	def   []byte // of each row: 1 if it has a value; nil if nulls is 0

	dict    *dictionary
	indices []int32

	ints   []int64
	floats []float64
	bits   []byte // booleans, one a bit
	text   []byte
	ends   []uint32 // text[ends[i]:ends[i+1]] is string i
}

// values returns how many rows have a value.
func (r *run) values() int { return r.rows - r.nulls }

// dictionary is the distinct values of a column in one row group, by index. It
// remains valid after the run it came with.
type dictionary struct {
	ints   []int64
	floats []float64
	bits   []byte
	text   []byte
	ends   []uint32
	n      int
}

// column reads one column of one row group, run by run.
type column struct {
	t     *file
	typ   Type
	pages parquet.Pages
	page  parquet.Page
	raw   parquet.Dictionary
	dict  *dictionary
	run   run
}

func (t *file) column(group, index int) *column {
	chunk := t.pq.RowGroups()[group].ColumnChunks()[index]
	return &column{t: t, typ: t.schema[index].Type, pages: chunk.Pages()}
}

// next returns the next run, and io.EOF after the last. The run is valid until
// the following call.
func (c *column) next() (_ *run, err error) {
	// See openFile: damaged bytes must not end the process.
	defer func() {
		if r := recover(); r != nil {
			err = c.t.damaged(fmt.Errorf("%v", r))
		}
	}()
	c.release()
	c.page, err = c.pages.ReadPage()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, c.t.damaged(err)
	}
	c.run = run{rows: int(c.page.NumValues())}
	if def := c.page.DefinitionLevels(); len(def) > 0 {
		if c.run.nulls = len(def) - bytes.Count(def, []byte{1}); c.run.nulls > 0 {
			c.run.def = def
		}
	}
	data := c.page.Data()
	if raw := c.page.Dictionary(); raw != nil {
		if raw != c.raw {
			c.raw, c.dict = raw, c.decode(raw)
		}
		c.run.dict = c.dict
		c.run.indices = data.Int32()
		if len(c.run.indices) < c.run.values() {
			return nil, c.t.damaged(errors.New("a page is too short"))
		}
		c.run.indices = c.run.indices[:c.run.values()]
		var top uint32 // of a negative index it is huge
		for _, i := range c.run.indices {
			top = max(top, uint32(i))
		}
		if len(c.run.indices) > 0 && int(top) >= c.dict.n {
			return nil, c.t.damaged(fmt.Errorf("index %d into a dictionary of %d", top, c.dict.n))
		}
		return &c.run, nil
	}
	n := 0
	switch c.typ {
	case Int, Timestamp:
		c.run.ints = data.Int64()
		n = len(c.run.ints)
	case Float:
		c.run.floats = data.Double()
		n = len(c.run.floats)
	case Bool:
		c.run.bits = data.Boolean()
		n = len(c.run.bits) * 8
	case String:
		c.run.text, c.run.ends = data.ByteArray()
		n = len(c.run.ends) - 1
	}
	if n < c.run.values() {
		return nil, c.t.damaged(errors.New("a page is too short"))
	}
	return &c.run, nil
}

// decode takes the values out of a dictionary. Their memory belongs to the
// dictionary, which lives as long as someone holds it.
func (c *column) decode(raw parquet.Dictionary) *dictionary {
	d := &dictionary{n: raw.Len()}
	data := raw.Page().Data()
	switch c.typ {
	case Int, Timestamp:
		d.ints = data.Int64()
	case Float:
		d.floats = data.Double()
	case Bool:
		d.bits = data.Boolean()
	case String:
		d.text, d.ends = data.ByteArray()
	}
	return d
}

func (c *column) release() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
}

// Close ends the reading. The last run is not valid any more.
func (c *column) Close() {
	c.release()
	c.pages.Close()
}

// bit returns boolean i of a bitmap.
func bit(bits []byte, i int) bool { return bits[i>>3]>>(i&7)&1 == 1 }
