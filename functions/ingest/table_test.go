package ingest_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace.dev/shared/table"
)

func writeTable(t *testing.T, path string, b *table.Batch) {
	t.Helper()
	w, err := table.Create(path, b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// line is a row as CSV, a null as "-".
func line(b *table.Batch, i int) string {
	values := make([]string, len(b.Columns))
	for c := range b.Columns {
		v := &b.Columns[c]
		switch {
		case v.Null(i):
			values[c] = "-"
		case v.Strings != nil:
			values[c] = v.Strings[i]
		case v.Ints != nil && b.Schema[c].Type == table.Timestamp:
			values[c] = time.UnixMicro(v.Ints[i]).UTC().Format(time.RFC3339)
		case v.Ints != nil:
			values[c] = strconv.FormatInt(v.Ints[i], 10)
		case v.Floats != nil:
			values[c] = strconv.FormatFloat(v.Floats[i], 'g', -1, 64)
		case v.Bools != nil:
			values[c] = strconv.FormatBool(v.Bools[i])
		}
	}
	return strings.Join(values, ",")
}
