package table_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/shared/table"
)

// flights writes a small table to a folder of its own and returns its path.
func flights() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "flights-*")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "flights.parquet")
	w, err := table.Create(path, table.Schema{
		{Name: "carrier", Type: table.String},
		{Name: "hour", Type: table.Int},
		{Name: "at", Type: table.Timestamp},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort()
	first := time.Date(2013, 1, 1, 5, 0, 0, 0, time.UTC).UnixMicro()
	hour := time.Hour.Microseconds()
	err = w.Write(&table.Batch{Rows: 5, Columns: []table.Vector{
		{Strings: []string{"UA", "AA", "", "UA", "XX"}, Nulls: []bool{2: true, 4: false}},
		{Ints: []int64{5, 6, 7, 8, 9}},
		{Ints: []int64{first, first + hour, first + 2*hour, first + 3*hour, first + 4*hour}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

func ExampleProfileFile() {
	path, remove := flights()
	defer remove()
	p, err := table.ProfileFile(context.Background(), path)
	if err != nil {
		log.Fatal(err)
	}
	c := p.Column("carrier")
	fmt.Println(p.Rows, "rows,", c.Distinct, "carriers, missing:", table.Percent(c.NullShare()))
	for value, n := range c.Values() {
		fmt.Println(value, n)
	}
	// Output:
	// 5 rows, 3 carriers, missing: 20 %
	// AA 1
	// UA 2
	// XX 1
}

func ExampleCheck() {
	path, remove := flights()
	defer remove()
	ctx := context.Background()
	p, err := table.ProfileFile(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	broken, err := table.Check(ctx, path, p, table.Rules{
		Columns: []table.ColumnRule{
			{Name: "carrier", Type: table.String, Nulls: 0.5, Values: []string{"AA", "UA"}},
			{Name: "hour", Type: table.Int},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range broken {
		fmt.Println(b.Reason)
		fmt.Println(b.Examples[0][table.RowKey], b.Examples[0]["carrier"], b.Examples[0]["hour"])
	}
	// Output:
	// 1 of 5 values of "carrier" are not allowed: "XX" (1); allowed: AA, UA
	// 5 XX 9
}

func ExampleSplit() {
	path, remove := flights()
	defer remove()
	dir := filepath.Dir(path)
	split := table.Split{Fraction: 0.2, By: table.ByTime, Time: "at", Gap: time.Hour}
	parts, err := split.Apply(context.Background(), []string{path}, filepath.Join(dir, "train"), filepath.Join(dir, "holdout.parquet"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(parts.Train, "to train on,", parts.Holdout, "held out")
	// Output: 3 to train on, 1 held out
}
