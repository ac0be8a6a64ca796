package ingest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/ingest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// TestBadInput: the rejection of each bad upload says what is wrong with it, and
// continues.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	tests := []struct {
		name, key string
		content   []byte
		reasons   []string // each is part of a problem, in order
	}{
		{"Empty", "shop/a.csv", nil, []string{"empty"}},
		{"EmptyGzip", "shop/a.csv.gz", gzipped(t, ""), []string{"empty"}},
		{"HeaderOnly", "shop/a.csv", []byte("city,price,sold\n"), []string{"no rows"}},
		{"TruncatedParquet", "shop/a.parquet", parquet(t)[:300], []string{"cut off"}},
		{"NoParquet", "shop/b.parquet", []byte(strings.Repeat("no parquet ", 10)), []string{"not a Parquet file"}},
		{"WrongHeader", "shop/a.csv", []byte("town,cost\nRome,1\n"), []string{"city"}},
		{"MixedTypes", "shop/a.csv", []byte("city,price,sold\nRome,1,true\nOslo,cheap,true\n"), []string{"cheap"}},
		{"MixedTypesLate", "shop/a.csv", mixedLate(), []string{"cheap"}},
		{"TenMillionColumns", "shop/a.csv", []byte(strings.Repeat("a,", 10_000_000) + "\n"), []string{"columns"}},
		{"EndlessLine", "shop/a.csv", []byte(shop + strings.Repeat("x", 2<<20)), []string{"longer than"}},
		{"GzipBomb", "shop/a.csv.gz", bomb(t, 32<<20), []string{"more than the 24 MiB"}},
		{"GzipCutOff", "shop/a.csv.gz", gzipped(t, shop)[:30], []string{"cut off after"}},
		{"NoGzip", "shop/a.csv.gz", []byte(shop), []string{"not gzip"}},
		{"UnknownFormat", "shop/a.ods", []byte("PK"), []string{"not a format that can be read"}},
		{"NoWorkbook", "shop/a.xlsx", []byte("PK"), []string{"not an Excel workbook"}},
		{"Binary", "shop/a.csv", []byte("city,price,sold\nRome\x00,1,true\n"), []string{"zero byte"}},
		{"TooLarge", "shop/big.csv", make([]byte, 25<<20), []string{"at most 25165824 are taken; upload it in several"}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			key := strings.Replace(test.key, "shop/", fmt.Sprintf("shop/%d-", i), 1)
			e := r.upload(key, test.content)
			got := only[events.PartitionRejected](t, r.handle(e))
			if got.Stage != "ingest" || got.Object.Key != key || got.Content == "" && test.name != "TooLarge" {
				t.Errorf("got %+v", got)
			}
			if len(got.Problems) != len(test.reasons) {
				t.Fatalf("problems %+v", got.Problems)
			}
			for i, reason := range test.reasons {
				t.Log(got.Problems[i])
				if !strings.Contains(got.Problems[i].String(), reason) {
					t.Errorf("problem %q, want %q in it", got.Problems[i], reason)
				}
			}
			if o := r.object(key); o.Status != state.ObjectRejected || o.Reason == "" {
				t.Errorf("object %+v", o)
			}
		})
	}
	t.Run("GoesOn", func(t *testing.T) {
		r.t = t
		r.ingested(r.upload("shop/good.csv", []byte(shop)))
	})
}

func TestRejectionShowsTheValue(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	got := only[events.PartitionRejected](t, r.handle(r.upload("shop/a.csv", []byte("city,price,sold\nRome,1,true\nOslo,cheap,true\n"))))
	p := got.Problems[0]
	if p.Check != "readable" || p.Column != "price" || p.Count != 1 {
		t.Errorf("problem %+v", p)
	}
	if row := p.Examples[0]; row["price"] != "cheap" || row[table.RowKey] != 3.0 {
		t.Errorf("example %v", row)
	}
}

func TestConfigSaysEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	err := ingest.Config{Threads: -1, LabelsWait: -1}.Validate()
	for _, name := range []string{"MAX_BYTES", "MAX_UNPACKED_BYTES", "MAX_ROWS", "MAX_COLUMNS", "AT_ONCE", "TIMEOUT", "LABELS_WITHIN", "LABELS_BATCHES", "THREADS", "LABELS_WAIT"} {
		if err == nil || !strings.Contains(err.Error(), "MILLRACE_INGEST_"+name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// mixedLate has its first text in a column of numbers where no sniffer looks.
func mixedLate() []byte {
	var b bytes.Buffer
	b.WriteString("city,price,sold\n")
	for range 50_000 {
		b.WriteString("Rome,1,true\n")
	}
	b.WriteString("Oslo,cheap,true\n")
	return b.Bytes()
}

// bomb is a small gzip file of so many zeros.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, "city,price,sold\n"); err != nil {
		t.Fatal(err)
	}
	rows := bytes.Repeat([]byte("Rome,1,true\n"), 10_000)
	for n := int64(0); n < size; n += int64(len(rows)) {
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
