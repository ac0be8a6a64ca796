package validate_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

func checks(ps []events.Problem) []string {
	var names []string
	for _, p := range ps {
		names = append(names, strings.TrimSuffix(p.Column+" "+p.Check, " "))
	}
	return names
}

func TestContract(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(`checks:
      - {name: enough, rows: {min: 3}}
      - {name: once, unique: [city, price]}
      - {name: dear-sells, sql: "NOT (price > 100 AND NOT sold)"}`))
	b := shop(sale{"Rome", 2, true}, sale{"Rome", 2, false}, sale{"Oslo", 101, false}, sale{"Oslo", -1, true})
	b.Columns[1].Floats[0], b.Columns[1].Floats[1] = -2, -2
	b.Columns[2].Nulls = []bool{false, false, false, true}
	got := r.rejected(r.ingest("shop/a", b))

	want := []string{"price range", "sold nulls", " once", " dear-sells"}
	if names := checks(got.Problems); !slices.Equal(names, want) {
		t.Fatalf("problems %q, want %q: %+v", names, want, got.Problems)
	}
	for _, p := range got.Problems {
		t.Log(p)
		if p.Count == 0 || p.Fraction == 0 || len(p.Examples) == 0 || p.Examples[0][table.RowKey] == nil {
			t.Errorf("%s has no counts or examples: %+v", p.Check, p)
		}
	}
	if o := r.object("shop/a"); o.Status != state.ObjectRejected || !strings.HasPrefix(o.Reason, "price: ") {
		t.Errorf("object %+v", o)
	}
	if got.Stage != "validate" || got.Rows != 4 || got.Config == "" || got.Data.IsZero() || !got.Report.IsZero() {
		t.Errorf("rejection %+v", got)
	}

	few := r.rejected(r.ingest("shop/b", shop(good)))
	if names := checks(few.Problems); !slices.Equal(names, []string{" enough"}) {
		t.Errorf("problems %q", names)
	}
}

// A row without a time is neither old nor new. What a pipeline of an earlier
// version allows is not allowed either.
func TestTimeHasNoNulls(t *testing.T) {
	t.Parallel()
	for _, nulls := range []float64{0, 0.5} {
		t.Run(fmt.Sprint(nulls), func(t *testing.T) {
			t.Parallel()
			r := newEnv(t, "")
			l, err := config.Load(writeYAML(t, strings.Replace(contract("time: at"), "      sold:", "      at: {type: timestamp}\n      sold:", 1)))
			if err != nil {
				t.Fatal(err)
			}
			at := l.Pipeline.Spec.Data.Columns["at"]
			at.Nulls = nulls
			l.Pipeline.Spec.Data.Columns["at"] = at
			r.Configure(t, l)

			b := shop(good, good, good, good)
			b.Schema = append(b.Schema, table.Column{Name: "at", Type: table.Timestamp})
			b.Columns = append(b.Columns, table.Vector{Ints: []int64{1, 2, 0, 4}, Nulls: []bool{false, false, true, false}})
			got := r.rejected(r.ingest("shop/a", b))
			if names := checks(got.Problems); !slices.Equal(names, []string{"at nulls"}) || got.Problems[0].Count != 1 {
				t.Errorf("problems %+v", got.Problems)
			}
		})
	}
}

func writeYAML(t *testing.T, yaml string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestColumnsOfTheContract(t *testing.T) {
	t.Parallel()
	b := &table.Batch{
		Schema: table.Schema{{Name: "city", Type: table.Int}, {Name: "price", Type: table.Float}, {Name: "note", Type: table.String}},
		Rows:   1, Columns: []table.Vector{{Ints: []int64{1}}, {Floats: []float64{1}}, {Strings: []string{"x"}}},
	}
	for extra, want := range map[string][]string{
		"extra: reject": {"city type", "sold missing", "note extra"},
		"extra: ignore": {"city type", "sold missing"},
	} {
		t.Run(extra, func(t *testing.T) {
			r := newEnv(t, contract(extra))
			if names := checks(r.rejected(r.ingest("shop/a", b)).Problems); !slices.Equal(names, want) {
				t.Errorf("problems %q, want %q", names, want)
			}
		})
	}
	t.Run("no contract", func(t *testing.T) {
		r := newEnv(t, loose)
		r.validated(r.ingest("shop/a", b))
	})
}

func TestInfiniteNumbersCanBeShown(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(`checks: [{name: finite, sql: "price < 1000"}]`))
	got := r.rejected(r.ingest("shop/a", shop(sale{"Rome", math.Inf(1), true})))
	if i := slices.Index(checks(got.Problems), " finite"); i < 0 || got.Problems[i].Examples[0]["price"] != "+Inf" {
		t.Errorf("problems %+v", got.Problems)
	}
}

func TestPartitionThatIsNoTable(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.upload("shop/a")
	ref, err := r.Artifacts.PutBytes(functiontest.Context(t), []byte("no parquet at all"), ".parquet")
	if err != nil {
		t.Fatal(err)
	}
	e := r.Announce(t, pipeline, "ingest", events.PartitionIngested{
		Object: events.Object{Key: "shop/a"}, Data: ref, Rows: 1, Content: "c", Fields: []events.Field{{Name: "city", Type: "string"}},
	})[0]
	if got := r.rejected(e); got.Problems[0].Check != "readable" || !strings.Contains(got.Problems[0].Reason, "not a whole Parquet file") {
		t.Errorf("problems %+v", got.Problems)
	}
}

func TestPartitionThatIsGoneIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.upload("shop/a")
	e := r.Announce(t, pipeline, "ingest", events.PartitionIngested{
		Object: events.Object{Key: "shop/a"}, Data: events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat("1", 64)},
		Rows: 1, Content: "c", Fields: []events.Field{{Name: "city", Type: "string"}},
	})[0]
	if o := r.Deliver(t, r.f, validate.Name, e); o.Err == nil || len(o.Events) > 0 {
		t.Errorf("got %+v", o)
	}
}

func TestLargeRejectionsAreTrimmedAndReported(t *testing.T) {
	t.Parallel()
	var more strings.Builder
	b := &table.Batch{Rows: 30}
	for i := range 150 {
		name := fmt.Sprintf("column%03d", i)
		b.Schema = append(b.Schema, table.Column{Name: name, Type: table.String})
		b.Columns = append(b.Columns, table.Vector{Strings: slices.Repeat([]string{strings.Repeat("long ", 100)}, 30)})
		fmt.Fprintf(&more, "\n      %s: {type: string, values: [short]}", name)
	}
	r := newEnv(t, strings.Replace(contract(""), "\n      sold:", more.String()+"\n      sold:", 1))
	got := r.handle(r.ingest("shop/a", b))
	if n := len(got[0].Data); n > 256<<10 {
		t.Errorf("the event has %d bytes", n)
	}
	d := one[events.PartitionRejected](t, got)
	if last := d.Problems[len(d.Problems)-1]; last.Check != "more" || len(d.Problems) != 101 {
		t.Errorf("%d problems, the last one %+v", len(d.Problems), last)
	}
	whole, err := r.Artifacts.Bytes(functiontest.Context(t), d.Report, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	var all []events.Problem
	if err := json.Unmarshal(whole, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 153 || len(all[1].Examples) != table.MaxExamples || len(all[1].Examples[0]) > 52 {
		t.Errorf("the report has %d problems, the second with %d examples", len(all), len(all[1].Examples))
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.validated(r.ingest("shop/a", shop(sales(20, good)...)))
	rows := append(sales(5, sale{"Rome", 2, true}), sale{"Oslo", -1, true}, sale{"Bonn", 2, true}, sale{"Oslo", 2, true})
	d := r.validated(r.ingest("shop/b", shop(rows...)))
	want := []events.Problem{
		{Check: "rows", Count: 8, Reason: "8 rows, where the partitions of the dataset have 20 on average"},
		{Check: "categories", Column: "city", Count: 3, Fraction: 0.375, Reason: `values that are not in the rest of the dataset: "Bonn", "Oslo"`},
		{Check: "nulls", Column: "price", Count: 1, Fraction: 0.125, Reason: "12.5 % are missing, where it is 0 % in the rest of the dataset"},
	}
	if fmt.Sprintf("%+v", d.Warnings) != fmt.Sprintf("%+v", want) {
		t.Errorf("warnings\n%+v, want\n%+v", d.Warnings, want)
	}
	if got := r.State(t, pipeline).Dataset.Snapshots[1].Warnings; len(got) != 3 {
		t.Errorf("the snapshot has the warnings %+v", got)
	}
}

func TestColumnsWithoutAContract(t *testing.T) {
	t.Parallel()
	r := newEnv(t, loose)
	ints := func(name string, values ...int64) *table.Batch {
		return &table.Batch{Schema: table.Schema{{Name: name, Type: table.Int}}, Rows: len(values), Columns: []table.Vector{{Ints: values}}}
	}
	r.validated(r.ingest("shop/a", ints("n", 1)))
	d := r.validated(r.ingest("shop/b", ints("m", 1)))
	if got := checks(d.Warnings); !slices.Equal(got, []string{"m columns", "n columns"}) {
		t.Errorf("warnings %q", got)
	}
	floats := &table.Batch{Schema: table.Schema{{Name: "n", Type: table.Float}}, Rows: 1, Columns: []table.Vector{{Floats: []float64{1}}}}
	got := r.rejected(r.ingest("shop/c", floats))
	if p := got.Problems[0]; p.Check != "type" || p.Reason != "it is float here and int in the rest of the dataset; upload it as int, or remove the partitions before" {
		t.Errorf("problems %+v", got.Problems)
	}
	// Without other partitions it is accepted.
	r.validated(r.remove("shop/a"))
	r.validated(r.ingest("shop/c", floats))
}
