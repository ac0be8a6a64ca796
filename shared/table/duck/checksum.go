package duck

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// checkPages refuses a Parquet file that has a page whose checksum is not that
// of its bytes. DuckDB does not look at checksums, which are optional: pages
// without one are passed over, and so is what cannot be walked through, which
// DuckDB then explains. No page is decompressed or held in memory.
func (c *conversion) checkPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for i, group := range rowGroups(f) {
		for _, column := range group.Columns {
			err := checkChunk(f, &column.MetaData)
			if errors.Is(err, errChecksum) {
				name := strings.Join(column.MetaData.PathInSchema, ".")
				u := c.reject(fmt.Sprintf("the Parquet file is damaged: column %q has a page in row group %d whose bytes do not have its checksum", name, i+1), "write the file again")
				u.Column = name
				return u
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rowGroups returns what the footer of a Parquet file says of its row groups,
// none if it cannot be read.
func rowGroups(f *os.File) []format.RowGroup {
	const tail = 8 // the footer's size and a mark
	info, err := f.Stat()
	if err != nil || info.Size() < tail {
		return nil
	}
	end := make([]byte, tail)
	if _, err := f.ReadAt(end, info.Size()-tail); err != nil {
		return nil
	}
	size := int64(binary.LittleEndian.Uint32(end))
	if size > info.Size()-tail {
		return nil
	}
	footer := make([]byte, size)
	if _, err := f.ReadAt(footer, info.Size()-tail-size); err != nil {
		return nil
	}
	var meta format.FileMetaData
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, footer, &meta); err != nil {
		return nil
	}
	return meta.RowGroups
}

var errChecksum = errors.New("the checksum of a page is not that of its bytes")

// checkChunk compares the checksums of the pages of one column chunk with their
// bytes, and returns errChecksum if one differs.
func checkChunk(f *os.File, chunk *format.ColumnMetaData) error {
	start := chunk.DataPageOffset
	if d := chunk.DictionaryPageOffset; d > 0 && d < start {
		start = d
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f, start, chunk.TotalCompressedSize), 64<<10)
	protocol := thrift.CompactProtocol{}
	pages := thrift.NewDecoder(protocol.NewReader(r))
	for {
		var header format.PageHeader
		if err := pages.Decode(&header); err != nil || header.CompressedPageSize < 0 {
			return nil //nolint:nilerr // the end, or what DuckDB has to explain
		}
		sum := crc32.NewIEEE()
		if _, err := io.CopyN(sum, r, int64(header.CompressedPageSize)); errors.Is(err, io.EOF) {
			return nil // DuckDB says that it is cut off
		} else if err != nil {
			return err
		}
		if header.CRC != 0 && uint32(header.CRC) != sum.Sum32() {
			return errChecksum
		}
	}
}
