package predictionlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"millrace.dev/shared/table"
)

// encoder makes Parquet files of single batches at the least cost: a log is
// written much and read little. Unlike table.Writer's, its files have one row
// group of one page a column, and no bounds; every reader of Parquet takes
// them, and the same batch gives the same bytes. The memory is used again. It
// is not safe for concurrent use.
type encoder struct {
	schema table.Schema
	meta   format.FileMetaData // what all files have in common
	zstd   *zstd.Encoder
	values numbering
	page   []byte
	dict   []byte
	packed []byte
}

// newEncoder returns an encoder of batches that have these columns.
func newEncoder(schema table.Schema) (*encoder, error) {
	// table.Writer's description of the columns, so that there is only one.
	var empty bytes.Buffer
	w, err := table.NewWriter(&empty, schema)
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(bytes.NewReader(empty.Bytes()), int64(empty.Len()))
	if err != nil {
		return nil, fmt.Errorf("describe the columns: %w", err)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(encodeWindow), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	common := f.Metadata()
	return &encoder{
		schema: schema, zstd: z,
		meta: format.FileMetaData{Version: common.Version, Schema: common.Schema, CreatedBy: common.CreatedBy, ColumnOrders: common.ColumnOrders},
	}, nil
}

const parquetMagic = "PAR1"

// encodeWindow is how far back compression looks: logs gain nothing from more,
// and it is memory that each encoder holds.
const encodeWindow = 256 << 10

// append appends the file of b's rows to dst. It does not keep b.
func (e *encoder) append(dst []byte, b *table.Batch) ([]byte, error) {
	if len(b.Columns) != len(e.schema) {
		return dst, fmt.Errorf("write a table: %d columns instead of %d", len(b.Columns), len(e.schema))
	}
	from := len(dst)
	dst = append(dst, parquetMagic...)
	group := format.RowGroup{NumRows: int64(b.Rows)}
	for i, c := range e.schema {
		v := &b.Columns[i]
		if n := lenOf(v, c.Type); n != b.Rows {
			return dst[:from], fmt.Errorf("write column %q: %d values of type %s instead of %d", c.Name, n, c.Type, b.Rows)
		}
		var chunk format.ColumnChunk
		var err error
		if dst, chunk, err = e.column(dst, from, c, v, b.Rows); err != nil {
			return dst[:from], fmt.Errorf("write column %q: %w", c.Name, err)
		}
		group.Columns = append(group.Columns, chunk)
		group.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		group.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
	}
	meta := e.meta
	meta.NumRows = int64(b.Rows)
	if b.Rows > 0 {
		meta.RowGroups = []format.RowGroup{group}
	}
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
	if err != nil {
		return dst[:from], fmt.Errorf("write a table: %w", err)
	}
	dst = append(dst, footer...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(footer)))
	return append(dst, parquetMagic...), nil
}

// column appends one column: its dictionary, if its values repeat, and a page.
func (e *encoder) column(dst []byte, from int, c table.Column, v *table.Vector, rows int) ([]byte, format.ColumnChunk, error) {
	meta := format.ColumnMetaData{
		Type: physical(c.Type), PathInSchema: []string{c.Name}, NumValues: int64(rows), Codec: format.Zstd,
		Encoding: []format.Encoding{format.Plain, format.RLE},
	}
	for _, null := range v.Nulls {
		if null {
			meta.Statistics.NullCount++ // readers believe it
		}
	}
	start := len(dst)
	e.page = appendLevels(e.page[:0], v.Nulls, rows)
	encoding := format.Plain
	var err error
	if e.values.of(c.Type, v, rows) {
		encoding = format.RLEDictionary
		meta.Encoding = append(meta.Encoding, format.RLEDictionary)
		meta.DictionaryPageOffset = int64(start - from)
		e.dict = e.values.appendTo(e.dict[:0], c.Type, v)
		header := format.PageHeader{Type: format.DictionaryPage}
		header.DictionaryPageHeader.V = format.DictionaryPageHeader{NumValues: int32(len(e.values.first)), Encoding: format.Plain}
		header.DictionaryPageHeader.Valid = true
		if dst, err = e.appendPage(dst, e.dict, &header, &meta); err != nil {
			return dst, format.ColumnChunk{}, err
		}
		e.page = e.values.appendIndexes(e.page)
	} else {
		e.page = appendPlain(e.page, c.Type, v, rows)
	}
	meta.DataPageOffset = int64(len(dst) - from)
	header := format.PageHeader{Type: format.DataPage}
	header.DataPageHeader.V = format.DataPageHeader{
		NumValues: int32(rows), Encoding: encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		Statistics: format.Statistics{NullCount: meta.Statistics.NullCount},
	}
	header.DataPageHeader.Valid = true
	dst, err = e.appendPage(dst, e.page, &header, &meta)
	return dst, format.ColumnChunk{FileOffset: int64(start - from), MetaData: meta}, err
}

// appendPage appends a page of these bytes, compressed.
func (e *encoder) appendPage(dst, page []byte, header *format.PageHeader, meta *format.ColumnMetaData) ([]byte, error) {
	if len(page) > math.MaxInt32 {
		return dst, fmt.Errorf("a page of %d bytes", len(page))
	}
	e.packed = e.zstd.EncodeAll(page, e.packed[:0])
	header.UncompressedPageSize, header.CompressedPageSize = int32(len(page)), int32(len(e.packed))
	raw, err := thrift.Marshal(new(thrift.CompactProtocol), header)
	if err != nil {
		return dst, err
	}
	dst = append(append(dst, raw...), e.packed...)
	meta.TotalUncompressedSize += int64(len(raw) + len(page))
	meta.TotalCompressedSize += int64(len(raw) + len(e.packed))
	return dst, nil
}

// lenOf returns how many values of a type a vector has.
func lenOf(v *table.Vector, t table.Type) int {
	switch t {
	case table.String:
		return len(v.Strings)
	case table.Float:
		return len(v.Floats)
	case table.Bool:
		return len(v.Bools)
	}
	return len(v.Ints)
}

func physical(t table.Type) format.Type {
	switch t {
	case table.String:
		return format.ByteArray
	case table.Float:
		return format.Double
	case table.Bool:
		return format.Boolean
	}
	return format.Int64
}

// appendLevels appends which values are there, as definition levels.
func appendLevels(dst []byte, nulls []bool, rows int) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if nulls == nil {
		dst = append(binary.AppendUvarint(dst, uint64(rows)<<1), 1)
	} else {
		groups := (rows + 7) / 8
		dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
		for from := 0; from < rows; from += 8 {
			var b byte
			for i, null := range nulls[from:min(from+8, rows)] {
				if !null {
					b |= 1 << i
				}
			}
			dst = append(dst, b)
		}
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

func appendPlain(dst []byte, typ table.Type, v *table.Vector, rows int) []byte {
	var bit byte
	n := 0
	for i := range rows {
		if v.Null(i) {
			continue
		}
		switch typ {
		case table.String:
			dst = appendText(dst, v.Strings[i])
		case table.Float:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Floats[i]))
		case table.Bool:
			if v.Bools[i] {
				bit |= 1 << (n % 8)
			}
			if n++; n%8 == 0 {
				dst, bit = append(dst, bit), 0
			}
		default:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Ints[i]))
		}
	}
	if n%8 != 0 {
		dst = append(dst, bit)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
}

const (
	// maxEncoded is how many different values a column may have, and trial the
	// rows after which a column that hardly repeats is given up.
	maxEncoded = 1 << 12
	trial      = 256
)

// numbering numbers the different values of a column as they come.
type numbering struct {
	seed    maphash.Seed
	slots   [4 * maxEncoded]uint16 // number + 1 of the value that hashes here; 0 for none
	first   []int32                // the row in which each value came first
	indexes []uint16               // of each row that is not null
}

// of numbers the values of v; false when a dictionary does not pay.
func (d *numbering) of(typ table.Type, v *table.Vector, rows int) bool {
	if d.seed == (maphash.Seed{}) {
		d.seed = maphash.MakeSeed() // where a value is found shows nowhere
	}
	clear(d.slots[:])
	d.first, d.indexes = d.first[:0], d.indexes[:0]
	switch typ {
	case table.Bool:
		return false
	case table.String:
		return number(d, v.Strings, v.Nulls, rows, func(a, b string) bool { return a == b },
			func(s string) uint64 { return maphash.String(d.seed, s) })
	case table.Float:
		return number(d, v.Floats, v.Nulls, rows, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) },
			func(f float64) uint64 { return spread(math.Float64bits(f)) })
	}
	return number(d, v.Ints, v.Nulls, rows, func(a, b int64) bool { return a == b }, func(n int64) uint64 { return spread(uint64(n)) })
}

// spread is a hash of a number, in its upper and lower bits.
func spread(n uint64) uint64 {
	hi, lo := bits.Mul64(n^0x9e3779b97f4a7c15, 0xd1342543de82ef95)
	return hi ^ lo
}

func number[T any](d *numbering, values []T, nulls []bool, rows int, same func(a, b T) bool, hash func(T) uint64) bool {
	last, index := -1, uint16(0)
	for i := range rows {
		if nulls != nil && nulls[i] {
			continue
		}
		if last < 0 || !same(values[i], values[last]) {
			for at := hash(values[i]) % uint64(len(d.slots)); ; at = (at + 1) % uint64(len(d.slots)) {
				if n := d.slots[at]; n == 0 {
					index = uint16(len(d.first))
					d.first = append(d.first, int32(i))
					d.slots[at] = index + 1
					break
				} else if same(values[i], values[d.first[n-1]]) {
					index = n - 1
					break
				}
			}
			if n := len(d.first); n == maxEncoded || i >= trial && n > i/2 {
				return false
			}
		}
		last = i
		d.indexes = append(d.indexes, index)
	}
	return last >= 0
}

// appendTo appends the values by their numbers.
func (d *numbering) appendTo(dst []byte, typ table.Type, v *table.Vector) []byte {
	for _, row := range d.first {
		switch typ {
		case table.String:
			dst = appendText(dst, v.Strings[row])
		case table.Float:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Floats[row]))
		default:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Ints[row]))
		}
	}
	return dst
}

// appendIndexes appends the number of each row's value: one run if they are
// all the same, else packed.
func (d *numbering) appendIndexes(dst []byte) []byte {
	width := max(1, bits.Len(uint(max(len(d.first), 1)-1)))
	dst = append(dst, byte(width))
	if len(d.first) <= 1 {
		if len(d.indexes) == 0 {
			return dst
		}
		return append(binary.AppendUvarint(dst, uint64(len(d.indexes))<<1), 0)
	}
	groups := (len(d.indexes) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	var acc uint64
	have := 0
	for i := range groups * 8 {
		var n uint16
		if i < len(d.indexes) {
			n = d.indexes[i]
		}
		acc |= uint64(n) << have
		for have += width; have >= 8; have -= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
		}
	}
	return dst
}
