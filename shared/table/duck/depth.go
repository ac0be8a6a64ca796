package duck

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"millrace.dev/shared/table/source"
)

const (
	// maxNesting is how deep the groups of a Parquet file may be nested; readers
	// take time with the square of it.
	maxNesting = 64
	// maxFooter is the largest footer that is read.
	maxFooter = 64 << 20
)

// checkNesting looks at the schema in a Parquet file's footer, which is a list,
// before anything follows it down.
func (c *conversion) checkNesting(f io.ReaderAt, size int64) error {
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], size-8); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if n > size-12 {
		return c.reject(fmt.Sprintf("the Parquet file is damaged (its footer would have %s, and the file has %s)", source.Size(n), source.Size(size)), "write the file again")
	}
	if n > maxFooter {
		return c.reject(fmt.Sprintf("the Parquet file has a footer of %s", source.Size(n)), "write the file again, with fewer columns or row groups")
	}
	footer := make([]byte, n)
	if _, err := f.ReadAt(footer, size-8-n); err != nil {
		return err
	}
	var meta format.FileMetaData
	if thrift.Unmarshal(new(thrift.CompactProtocol), footer, &meta) != nil {
		return nil // what reads the file says what is wrong
	}
	var open []int32 // children that are still to come, by level
	for _, e := range meta.Schema {
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		if children := e.NumChildren.V; children > 0 {
			open = append(open, children)
		}
		if len(open) > maxNesting {
			return c.reject(fmt.Sprintf("its columns are nested deeper than the %d levels that are allowed", maxNesting), "write plain columns")
		}
	}
	return nil
}
