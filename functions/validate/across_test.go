package validate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// orders has the key (id, day): a null id is written as a negative number.
func orders(ids ...int64) *table.Batch {
	b := &table.Batch{
		Schema: table.Schema{{Name: "id", Type: table.Int}, {Name: "day", Type: table.String}, {Name: "x", Type: table.Float}},
		Rows:   len(ids), Columns: make([]table.Vector, 3),
	}
	for i, id := range ids {
		b.Columns[0].Ints = append(b.Columns[0].Ints, max(id, 0))
		b.Columns[0].Nulls = append(b.Columns[0].Nulls, id < 0)
		b.Columns[1].Strings = append(b.Columns[1].Strings, "monday")
		b.Columns[2].Floats = append(b.Columns[2].Floats, float64(i))
	}
	return b
}

func orderRules(check string) string {
	return `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  data:
    uploads: ["shop/*"]
    columns:
      id: {type: int, nulls: 1}
      day: {type: string}
      x: {type: float}
    checks: [` + check + `]
  model: {task: regression, label: x, features: [id]}
`
}

const oneRowAnOrder = `{name: one-row-an-order, unique: {columns: [id, day], across: dataset}}`

func TestKeyIsUniqueAcrossTheDataset(t *testing.T) {
	t.Parallel()
	r := newEnv(t, orderRules(oneRowAnOrder))
	r.validated(r.ingest("shop/a", orders(1, 2, 3)))
	r.validated(r.ingest("shop/b", orders(4, -1, 5)))
	r.validated(r.ingest("shop/c", orders(-1, 6)))

	d := r.rejected(r.ingest("shop/d", orders(7, 5, 2, 8)))
	want := "2 of 4 rows (50 %) have the same id, day as a row of another upload: row 2 (id 5, day monday) repeats row 3 of shop/b; allowed: 0 %; if newer rows replace older ones, set data.key instead"
	if len(d.Problems) != 1 || d.Problems[0].Reason != want || d.Problems[0].Check != "one-row-an-order" || d.Problems[0].Count != 2 {
		t.Fatalf("got %+v, want %s", d.Problems, want)
	}
	if ex := d.Problems[0].Examples; len(ex) != 2 || fmt.Sprint(ex[1]["_row"], ex[1]["_repeats"], ex[1]["_object"], ex[1]["id"]) != "3 2shop/a2" {
		t.Errorf("examples %v", ex)
	}
	// What was rejected is in no index.
	if d := r.validated(r.ingest("shop/d", orders(7, 8))); d.Rows != 10 {
		t.Errorf("got %+v", d)
	}
}

func TestUploadReplacesItsOwnKeys(t *testing.T) {
	t.Parallel()
	r := newEnv(t, orderRules(oneRowAnOrder))
	r.validated(r.ingest("shop/a", orders(1, 2, 3)))
	r.validated(r.ingest("shop/b", orders(4)))
	r.validated(r.ingest("shop/a", orders(3, 2, 9)))
	// 1 left with the first partition of a, and 9 came with the second.
	if d := r.rejected(r.ingest("shop/c", orders(1, 9))); d.Problems[0].Count != 1 || !strings.Contains(d.Problems[0].Reason, "row 2 (id 9, day monday) repeats row 3 of shop/a") {
		t.Errorf("got %+v", d.Problems)
	}
	r.validated(r.remove("shop/a"))
	if d := r.rejected(r.ingest("shop/c", orders(1, 9, 4))); d.Problems[0].Count != 1 || !strings.Contains(d.Problems[0].Reason, "row 3 (id 4, day monday) repeats row 1 of shop/b") {
		t.Errorf("got %+v", d.Problems)
	}
	r.validated(r.ingest("shop/c", orders(1, 9)))
	r.rejected(r.ingest("shop/a", orders(9)))
}

// TestKeysOfOlderPartitions: a rule that is added later holds for the rows that
// are in the dataset already.
func TestKeysOfOlderPartitions(t *testing.T) {
	t.Parallel()
	r := newEnv(t, orderRules(""))
	for i := range int64(20) {
		r.validated(r.ingest(fmt.Sprint("shop/", i), orders(2*i, 2*i+1)))
	}
	r.ConfigureYAML(t, orderRules(oneRowAnOrder))
	for i := range int64(20) {
		d := r.rejected(r.ingest("shop/new", orders(100, 2*i)))
		if want := fmt.Sprintf("repeats row 1 of shop/%d;", i); !strings.Contains(d.Problems[0].Reason, want) {
			t.Errorf("got %+v, want %s", d.Problems[0].Reason, want)
		}
	}
	if d := r.validated(r.ingest("shop/new", orders(100, 101))); d.Index.IsZero() {
		t.Errorf("no index in %+v", d)
	}
}

// TestKeyIndexAfterALoss: an index is only a cache of what the partitions say.
func TestKeyIndexAfterALoss(t *testing.T) {
	t.Parallel()
	r := newEnv(t, orderRules(oneRowAnOrder))
	r.validated(r.ingest("shop/a", orders(1, 2, 3)))
	e := r.ingest("shop/b", orders(3, 4))
	first := r.rejected(e)
	d := r.validated(r.ingest("shop/c", orders(5)))
	path, err := r.Artifacts.Path(functiontest.Context(t), d.Index)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(path)), "*", "*.keys"))
	if err != nil || len(runs) == 0 {
		t.Fatalf("runs %v: %v", runs, err)
	}
	for _, gone := range append(runs, path) {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
	}
	r.f = r.function() // its cache is in the same folder, and refers to runs that are gone
	second := r.rejected(r.ingest("shop/b", orders(4, 3)))
	if first.Problems[0].Count != 1 || second.Problems[0].Count != 1 || !strings.Contains(second.Problems[0].Reason, "row 2 (id 3, day monday) repeats row 3 of shop/a") {
		t.Errorf("got %+v", second.Problems)
	}
}

// TestKeysAreDecidedOnce: of two partitions with the same key that are validated
// at the same time, one is rejected; a second delivery changes nothing.
func TestKeysAreDecidedOnce(t *testing.T) {
	t.Parallel()
	r := newEnv(t, orderRules(oneRowAnOrder))
	a, b := r.ingest("shop/a", orders(1, 2)), r.ingest("shop/b", orders(2, 3))
	outcomes := make(chan []events.Envelope, 2)
	for _, e := range []events.Envelope{a, b} {
		f := r.function()
		go func() { outcomes <- r.Handle(t, f, "validate", e) }()
	}
	types := map[string]int{}
	for range 2 {
		for _, e := range <-outcomes {
			types[e.Type]++
		}
	}
	if types[(events.DatasetValidated{}).EventType()] != 1 || types[(events.PartitionRejected{}).EventType()] != 1 {
		t.Errorf("got %v", types)
	}
	for _, e := range []events.Envelope{a, b} {
		if o := r.Deliver(t, r.function(), "validate", e); !o.Duplicate {
			t.Errorf("second delivery: %+v", o)
		}
	}
}

func TestShareOfRepeatedKeys(t *testing.T) {
	t.Parallel()
	r := newEnv(t, orderRules(`{name: few, unique: {columns: [id], across: dataset}, max_fraction: 0.5}`))
	r.validated(r.ingest("shop/a", orders(1, 2, 3)))
	r.validated(r.ingest("shop/b", orders(1, 2, 5, 6)))
	// Two partitions have key 1: a row counts once.
	if d := r.rejected(r.ingest("shop/c", orders(1, 5, 7))); d.Problems[0].Count != 2 {
		t.Errorf("got %+v", d.Problems)
	}
}

// TestNewerRowsSupersede: with data.key rows are updated, and the dataset knows how
// many of its rows are superseded.
func TestNewerRowsSupersede(t *testing.T) {
	t.Parallel()
	r := newEnv(t, strings.Replace(orderRules(""), "checks: []", `key: [id]
    holdout: {uploads: ["shop/test"]}`, 1))
	superseded := func(d events.DatasetValidated, want int64) {
		t.Helper()
		if got := r.State(t, pipeline).Dataset.Superseded; d.Superseded != want || got != want {
			t.Errorf("%d rows are superseded, %d in the state, want %d", d.Superseded, got, want)
		}
	}
	superseded(r.validated(r.ingest("shop/a", orders(1, 2, 2, -1, -1))), 1)
	superseded(r.validated(r.ingest("shop/b", orders(2, 3))), 2)
	// A fixed test file supersedes no row to train on.
	superseded(r.validated(r.ingest("shop/test", orders(1, 1))), 3)
	d := r.validated(r.ingest("shop/a", orders(3, 4)))
	superseded(d, 2)
	superseded(r.validated(r.ingest("shop/c", orders(2, 3, 4, 5))), 5)
	superseded(r.validated(r.remove("shop/c")), 2)

	// The newest upload is the newest, whatever its place in the snapshot, and
	// whatever the order of validation.
	e1, e2 := r.ingest("shop/y", orders(7)), r.ingest("shop/x", orders(7))
	r.validated(e2)
	d = r.validated(e1)
	b, err := r.Artifacts.Bytes(functiontest.Context(t), d.Manifest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var members []events.DatasetPartition
	if err := json.Unmarshal(b, &members); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(members, func(a, b events.DatasetPartition) int { return a.Sequence - b.Sequence })
	var names []string
	for _, m := range members {
		names = append(names, m.Object.Key)
	}
	if got := fmt.Sprint(names); got != "[shop/b shop/test shop/a shop/y shop/x]" {
		t.Errorf("from old to new: %s", got)
	}
}
