package gateway_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// profileOf measures a table of the columns a (int) and b (bool, null where a is 0).
func profileOf(t *testing.T, as ...int64) *table.Profile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.parquet")
	w, err := table.Create(path, table.Schema{{Name: "a", Type: table.Int}, {Name: "b", Type: table.Bool}})
	if err != nil {
		t.Fatal(err)
	}
	b := table.Batch{Rows: len(as), Columns: []table.Vector{{Ints: as}, {Bools: make([]bool, len(as)), Nulls: make([]bool, len(as))}}}
	for i, a := range as {
		b.Columns[1].Nulls[i] = a == 0
	}
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := table.ProfileFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProfile(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	r.get("/api/pipelines/flights/profile").is(404, "has no data yet", "flights/*.csv")
	stored := func(p *table.Profile) events.Ref {
		b, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		ref, err := r.Artifacts.PutBytes(functiontest.Context(t), b, ".profile")
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	first, second := profileOf(t, 1, 2, 9007199254740993), profileOf(t, 0, 0, 3)
	both, err := table.Merge(first, second)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range []*table.Profile{first, both} {
		key := []string{"flights/1.csv", "flights/2.csv"}[i]
		u := r.uploads("/uploads/"+key, "a,b\n")[0]
		data := events.Ref{URL: "x", Digest: u.Digest[:20] + strings.Repeat(string(rune('a'+i)), 51), Size: 1}
		object := events.Object{Key: key}
		r.Announce(t, "flights", "ingest", events.PartitionIngested{Object: object, Data: data, Rows: 3, Fields: []events.Field{{Name: "a", Type: "int"}}, Content: u.Digest})
		r.Announce(t, "flights", "validate", events.DatasetValidated{
			Snapshot: "sha256:" + strings.Repeat(string(rune('1'+i)), 64), Partitions: i + 1, Rows: p.Rows, Manifest: data, Profile: stored(p),
			Added: &events.DatasetPartition{Object: object, Data: data, Rows: 3, Profile: stored([]*table.Profile{first, second}[i])},
		})
	}
	all := r.get("/api/pipelines/flights/profile").is(200, "9007199254740993")
	p := decode[api.Profile](all)
	if p.Rows != 6 || p.Partitions != 2 || len(p.Columns) != 2 || p.Before == nil || p.Before.Rows != 3 || p.Before.Columns[1].Nulls != 0 {
		t.Fatalf("%s", all.body)
	}
	a, b := p.Columns[0], p.Columns[1]
	if a.Distinct != 5 || !a.Exact || len(a.Quantiles) != 7 || a.Histogram == nil || len(p.Before.Columns[0].Histogram) != len(a.Histogram) || b.Nulls != 2 || b.Top[0].Count != 4 {
		t.Errorf("%s", all.body)
	}
	one := decode[api.Profile](r.get("/api/pipelines/flights/profile?partition=flights/2.csv&column=b").is(200))
	if one.Rows != 3 || one.Partition != "flights/2.csv" || one.Snapshot != "" || len(one.Columns) != 1 || one.Columns[0].Nulls != 2 || one.Before == nil || one.Before.Rows != 3 {
		t.Errorf("%+v", one)
	}
	if first := decode[api.Profile](r.get("/api/pipelines/flights/profile?partition=flights/1.csv").is(200)); first.Before != nil {
		t.Errorf("the first partition joined %+v", first.Before)
	}
	r.get("/api/pipelines/flights/profile?partition=flights/3.csv").is(404, `no partition \"flights/3.csv\"`, "did you mean")
	r.get("/api/pipelines/flights/profile?column=A").is(404, `no column \"A\"`, "did you mean")
	r.get("/api/pipelines/flight/profile").is(404, "no pipeline")
	raw := r.do(http.MethodGet, "/api/pipelines/flights/profile", nil, "Accept", "application/octet-stream").is(200)
	whole := new(table.Profile)
	if err := whole.UnmarshalBinary(raw.body); err != nil || whole.Rows != 6 || raw.header.Get("Millrace-Partitions") != "2" {
		t.Errorf("the stored profile: %v, %v, %v", whole.Rows, err, raw.header)
	}
}
