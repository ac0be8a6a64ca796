package duck_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

func ExampleConvert() {
	dir, err := os.MkdirTemp("", "convert-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	upload := filepath.Join(dir, "upload")
	if err := os.WriteFile(upload, []byte("carrier,delay\nUA,20\nAA,NA\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	done, err := duck.Convert(context.Background(), duck.Source{Path: upload, Name: "flights/january.csv"}, &duck.PrepareInput{
		SQL:     "SELECT carrier, delay::INT > 15 AS late FROM upload",
		Columns: source.Columns(table.Schema{{Name: "carrier", Type: table.String}, {Name: "late", Type: table.Bool}}),
	}, filepath.Join(dir, "out.parquet"), duck.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Rows, "rows:", done.Schema)

	_, err = duck.Convert(context.Background(), duck.Source{Path: upload, Name: "flights/january.csv"}, &duck.PrepareInput{
		Columns: source.Columns(table.Schema{{Name: "carrier", Type: table.String}, {Name: "dest", Type: table.String}}),
	}, filepath.Join(dir, "out.parquet"), duck.Limits{})
	fmt.Println(err)
	// Output:
	// 2 rows: carrier string, late bool
	// flights/january.csv: column is missing: dest; the columns that are there: carrier, delay
}
