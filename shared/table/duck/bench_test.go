package duck_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// upload is a CSV file of 10,000 rows.
func upload(b *testing.B) string {
	var s strings.Builder
	s.WriteString("carrier,hour,distance,delay,at\n")
	for i := range 10_000 {
		fmt.Fprintf(&s, "C%d,%d,%d,%d,2013-01-%02dT%02d:00:00Z\n", i%16, i%24, i%3000, i%200-20, i%28+1, i%24)
	}
	return file(b, "a.csv", s.String())
}

func BenchmarkConvert(b *testing.B) {
	path := upload(b)
	for name, prep := range map[string]*duck.PrepareInput{
		"as it is": nil,
		"prepared": {
			SQL:     "SELECT carrier, hour, distance, delay::INT > 15 AS late FROM upload WHERE delay IS NOT NULL",
			Columns: source.Columns(table.Schema{{Name: "carrier", Type: table.String}, {Name: "hour", Type: table.Int}, {Name: "distance", Type: table.Float}, {Name: "late", Type: table.Bool}}),
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := duck.Convert(b.Context(), duck.Source{Path: path, Name: "a.csv"}, prep, filepath.Join(b.TempDir(), "out.parquet"), duck.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckSQL(b *testing.B) {
	path, _, err := convert(b, upload(b), nil, duck.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		broken, err := duck.CheckSQL(b.Context(), path, "", []table.SQLRule{{Name: "range", Expr: "hour BETWEEN 0 AND 23"}, {Name: "delay", Expr: "NOT (delay < -100)"}})
		if err != nil || len(broken) > 0 {
			b.Fatal(broken, err)
		}
	}
}
