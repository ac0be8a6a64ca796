package ingest_test

import (
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
)

const quarantine = "quarantine: {max_fraction: 0.5}"

// TestSetAside keeps what fits of an upload, and the rest in a file of its own.
func TestSetAside(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(quarantine))
	e := r.upload("shop/a.csv", []byte("city,price,sold\nRome,1,true\n\"Os\nlo\",cheap,true\nBonn,2,\nParis,3,false\nKiel,4,true\n"))
	got := r.ingested(e)
	wantRows(t, r.rows(got.Data), "city,price,sold", "Rome,1,true", "Paris,3,false", "Kiel,4,true")
	if got.Rows != 3 || got.SetAside.Rows != 2 || len(got.SetAside.Problems) != 2 {
		t.Fatalf("got %+v", got)
	}
	p := got.SetAside.Problems[0]
	if p.Column != "price" || p.Count != 1 || p.Fraction != 0.2 || !strings.HasPrefix(p.Reason, `line 3, column "price": "cheap" is not a number`) {
		t.Errorf("problem %+v", p)
	}
	b, err := r.Artifacts.Bytes(functiontest.Context(t), got.SetAside.Data, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"record":2,"line":3,"text":"\"Os\nlo\",cheap,true","faults":[{"column":"price","value":"cheap","reason":"is not a number"}]}
{"record":3,"line":5,"text":"Bonn,2,","faults":[{"column":"sold","reason":"is missing, and the column allows no missing value"}]}
`
	if string(b) != want {
		t.Errorf("set aside:\n%s\nwant:\n%s", b, want)
	}
	if o := r.object("shop/a.csv"); o.SetAside == nil || o.SetAside.Rows != 2 || o.SetAside.Data != got.SetAside.Data {
		t.Errorf("object %+v", o)
	}

	// The next upload of the key has only rows that fit.
	r.ingested(r.upload("shop/a.csv", []byte("city,price,sold\nRome,1,true\n")))
	if o := r.object("shop/a.csv"); o.SetAside != nil {
		t.Errorf("object %+v", o)
	}
}

// TestSetAsideTooMany refuses an upload that has more rows that do not fit than
// data.quarantine allows, with all columns at once.
func TestSetAsideTooMany(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(quarantine))
	e := r.upload("shop/a.csv", []byte("city,price,sold\nRome,1,true\nOslo,cheap,true\nBonn,2,maybe\n"))
	got := only[events.PartitionRejected](t, r.handle(e))
	if len(got.Problems) != 3 || got.Problems[0].Column != "price" || got.Problems[1].Column != "sold" {
		t.Fatalf("got %+v", got.Problems)
	}
	if want := "2 of 3 rows (66.67 %) would have to be set aside, and data.quarantine allows 50 %; correct the rows, or raise max_fraction"; got.Problems[2].Reason != want {
		t.Errorf("got %q, want %q", got.Problems[2].Reason, want)
	}
}
