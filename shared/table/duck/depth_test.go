package duck

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"millrace.dev/shared/table"
)

func TestDeepParquetIsRefused(t *testing.T) {
	t.Parallel()
	meta := format.FileMetaData{Version: 1}
	for range 10_000 {
		group := format.SchemaElement{Name: "g"}
		group.NumChildren.V, group.NumChildren.Valid = 1, true
		meta.Schema = append(meta.Schema, group)
	}
	meta.Schema = append(meta.Schema, format.SchemaElement{Name: "a"})
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
	if err != nil {
		t.Fatal(err)
	}
	file := append([]byte(parquetMagic), footer...)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(footer)))
	_, err = ConvertApart(t.Context(), write(t, "deep.parquet", append(file, parquetMagic...)), nil, filepath.Join(t.TempDir(), "out"), Limits{})
	if table.Unreadables(err) == nil || !strings.Contains(err.Error(), "nested deeper than the 64 levels") {
		t.Errorf("the error is %v", err)
	}
}
