package validate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

const pipeline = "shop"

// contract is a pipeline with a contract; more stands for more of spec.data.
func contract(more string) string {
	return `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  data:
    uploads: ["shop/*"]
    columns:
      city:  {type: string}
      price: {type: float, min: 0, nulls: 0.25}
      sold:  {type: bool}
    ` + more + `
  model: {task: binary_classification, label: sold, features: [city, price]}
`
}

// loose is a pipeline that takes any column.
const loose = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  model: {task: regression}
`

// env is the function over a real log and store.
type env struct {
	*functiontest.Env
	t testing.TB
	f *validate.F
}

func newEnv(t testing.TB, yaml string) env {
	t.Helper()
	r := env{Env: functiontest.New(t), t: t}
	r.f = r.function()
	if yaml != "" {
		r.ConfigureYAML(t, yaml)
	}
	return r
}

// function is another instance of the function, as after a restart.
func (r env) function() *validate.F {
	r.t.Helper()
	f, err := validate.New(validate.Config{Timeout: time.Minute, Cached: 100}, r.Deps(r.t, validate.Name))
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// sale is one row of a partition; a price below 0 is null.
type sale struct {
	city  string
	price float64
	sold  bool
}

func sales(n int, s sale) []sale { return slices.Repeat([]sale{s}, n) }

func shop(rows ...sale) *table.Batch {
	b := &table.Batch{
		Schema: table.Schema{{Name: "city", Type: table.String}, {Name: "price", Type: table.Float}, {Name: "sold", Type: table.Bool}},
		Rows:   len(rows), Columns: make([]table.Vector, 3),
	}
	for _, s := range rows {
		b.Columns[0].Strings = append(b.Columns[0].Strings, s.city)
		b.Columns[1].Floats = append(b.Columns[1].Floats, max(s.price, 0))
		b.Columns[1].Nulls = append(b.Columns[1].Nulls, s.price < 0)
		b.Columns[2].Bools = append(b.Columns[2].Bools, s.sold)
	}
	return b
}

// store keeps a table as a partition.
func (r env) store(b *table.Batch) events.Ref {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "partition.parquet")
	w, err := table.Create(path, b.Schema)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := w.Write(b); err != nil {
		r.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	ref, err := r.Artifacts.PutFile(functiontest.Context(r.t), path, ".parquet", true)
	if err != nil {
		r.t.Fatal(err)
	}
	return ref
}

func (r env) upload(key string) {
	r.t.Helper()
	r.Announce(r.t, pipeline, "gateway", events.ObjectUploaded{
		Object: events.Object{Key: key}, Content: events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat("0", 64)},
	})
}

// ingest uploads a table, as gateway and ingest would.
func (r env) ingest(key string, b *table.Batch) events.Envelope {
	r.t.Helper()
	r.upload(key)
	return r.announceIngested(key, b)
}

func (r env) announceIngested(key string, b *table.Batch) events.Envelope {
	r.t.Helper()
	d := events.PartitionIngested{Object: events.Object{Key: key}, Data: r.store(b), Rows: int64(b.Rows), Content: "content"}
	for _, c := range b.Schema {
		d.Fields = append(d.Fields, events.Field{Name: c.Name, Type: string(c.Type)})
	}
	return r.Announce(r.t, pipeline, "ingest", d)[0]
}

// remove removes an object, as gateway and ingest would.
func (r env) remove(key string) events.Envelope {
	r.t.Helper()
	partition := r.object(key).Partition
	r.Announce(r.t, pipeline, "gateway", events.ObjectRemoved{Object: events.Object{Key: key}})
	return r.Announce(r.t, pipeline, "ingest", events.PartitionRemoved{Object: events.Object{Key: key}, Partition: partition})[0]
}

func (r env) handle(e events.Envelope) []events.Envelope {
	r.t.Helper()
	return r.Handle(r.t, r.f, validate.Name, e)
}

func (r env) validated(e events.Envelope) events.DatasetValidated {
	r.t.Helper()
	return one[events.DatasetValidated](r.t, r.handle(e))
}

func (r env) rejected(e events.Envelope) events.PartitionRejected {
	r.t.Helper()
	return one[events.PartitionRejected](r.t, r.handle(e))
}

// nothing handles an event that needs no work, and returns the reason.
func (r env) nothing(e events.Envelope) string {
	r.t.Helper()
	got := r.handle(e)
	if len(got) != 1 {
		r.t.Fatalf("got %d events: %v", len(got), got)
	}
	return one[events.EventHandled](r.t, got).Reason
}

func (r env) object(key string) *state.Object { return r.State(r.t, pipeline).Objects[key] }

// one is the data of the one event of the type T, beside the handling's record.
func one[T events.Data](t testing.TB, es []events.Envelope) T {
	t.Helper()
	want := (*new(T)).EventType()
	i := slices.IndexFunc(es, func(e events.Envelope) bool { return e.Type == want })
	if i < 0 {
		t.Fatalf("no %s in %v", want, es)
	}
	return functiontest.Data[T](t, es[i])
}

// manifest reads the keys of a snapshot's partitions.
func (r env) manifest(d events.DatasetValidated) []string {
	r.t.Helper()
	b, err := r.Artifacts.Bytes(functiontest.Context(r.t), d.Manifest, 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	var members []events.DatasetPartition
	if err := json.Unmarshal(b, &members); err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Object.Key)
	}
	return names
}

func (r env) profile(ref events.Ref) *table.Profile {
	r.t.Helper()
	b, err := r.Artifacts.Bytes(functiontest.Context(r.t), ref, 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	p := new(table.Profile)
	if err := p.UnmarshalBinary(b); err != nil {
		r.t.Fatal(err)
	}
	return p
}

var good = sale{"Rome", 2, true}

func TestPartitionJoinsTheDataset(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	first := r.validated(r.ingest("shop/a", shop(good, sale{"Oslo", -1, false}, good, good)))
	if first.Partitions != 1 || first.Rows != 4 || first.Added == nil || first.Removed != "" || len(first.Warnings) != 0 {
		t.Errorf("first: %+v", first)
	}
	second := r.validated(r.ingest("shop/b", shop(sales(4, sale{"Oslo", 3, true})...)))
	if second.Partitions != 2 || second.Rows != 8 || second.Snapshot == first.Snapshot {
		t.Errorf("second: %+v", second)
	}
	if names := fmt.Sprint(r.manifest(second)); names != "[shop/a shop/b]" {
		t.Errorf("manifest %s", names)
	}
	p := r.profile(second.Profile)
	if c := p.Column("price"); p.Rows != 8 || c.Nulls != 1 || *c.Mean != 18./7 {
		t.Errorf("profile of %d rows, price %+v", p.Rows, c)
	}
	ds := r.State(t, pipeline).Dataset
	if ds.Snapshot != second.Snapshot || ds.Rows != 8 || len(ds.Partitions) != 2 || r.object("shop/a").Status != state.ObjectValid {
		t.Errorf("dataset %+v", ds)
	}
}

func TestSecondDelivery(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	e := r.ingest("shop/a", shop(good))
	first := r.handle(e)
	if o := r.Deliver(t, r.function(), validate.Name, e); !o.Duplicate || o.Events[0].ID != first[0].ID {
		t.Errorf("second delivery: %+v", o)
	}
	// The same partition once more, by an event of its own.
	if why := r.nothing(r.announceIngested("shop/a", shop(good))); !strings.Contains(why, "in the dataset already") {
		t.Errorf("reason %q", why)
	}
	if o := r.object("shop/a"); o.Status != state.ObjectValid {
		t.Errorf("object %+v", o)
	}
}

func TestFindingsAreKept(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	e := r.ingest("shop/a", shop(sale{"Rome", 2, true}))
	want := r.validated(e)

	// Without its bytes the partition cannot be measured again.
	path, err := r.Artifacts.Path(functiontest.Context(t), want.Added.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.f = r.function()
	r.validated(r.remove("shop/a"))
	r.upload("shop/a")
	d := events.PartitionIngested{Object: events.Object{Key: "shop/a"}, Data: want.Added.Data, Rows: 1, Content: "content", Fields: []events.Field{{Name: "city", Type: "string"}}}
	got := r.validated(r.Announce(t, pipeline, "ingest", d)[0])
	if got.Added.Profile != want.Added.Profile || got.Snapshot != want.Snapshot {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSuperseded(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	old := r.ingest("shop/a", shop(good))
	next := r.ingest("shop/a", shop(good, good))
	if why := r.nothing(old); !strings.Contains(why, "superseded") {
		t.Errorf("reason %q", why)
	}
	if d := r.validated(next); d.Rows != 2 {
		t.Errorf("got %+v", d)
	}
}

func TestReplacedPartitionKeepsItsPlace(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	first := r.validated(r.ingest("shop/a", shop(good)))
	r.validated(r.ingest("shop/b", shop(good, good)))
	d := r.validated(r.ingest("shop/a", shop(good, good, good)))
	if names := fmt.Sprint(r.manifest(d)); names != "[shop/a shop/b]" || d.Partitions != 2 || d.Rows != 5 {
		t.Errorf("manifest %s of %+v", names, d)
	}
	if d.Removed != first.Added.Data.Digest || d.RemovedObject != "shop/a" {
		t.Errorf("removed %s of %s", d.Removed, d.RemovedObject)
	}
	if p := r.profile(d.Profile); p.Rows != 5 {
		t.Errorf("profile of %d rows", p.Rows)
	}
}

func TestSnapshotDoesNotDependOnTheOrderOfValidation(t *testing.T) {
	t.Parallel()
	var digests, profiles []string
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}} {
		r := newEnv(t, contract(""))
		var es []events.Envelope
		for i := range 3 {
			es = append(es, r.ingest(fmt.Sprintf("shop/%d", i), shop(sales(i+1, sale{fmt.Sprint("city ", i), float64(i), true})...)))
		}
		var last events.DatasetValidated
		for _, i := range order {
			last = r.validated(es[i])
		}
		if names := fmt.Sprint(r.manifest(last)); names != "[shop/0 shop/1 shop/2]" {
			t.Errorf("order %v gives %s", order, names)
		}
		digests, profiles = append(digests, last.Snapshot), append(profiles, last.Profile.Digest)
	}
	if len(slices.Compact(digests)) != 1 || len(slices.Compact(profiles)) != 1 {
		t.Errorf("snapshots %v, profiles %v", digests, profiles)
	}
}

func TestConcurrentValidationsForgetNoPartition(t *testing.T) {
	t.Parallel()
	const n = 6
	r := newEnv(t, contract(""))
	var es []events.Envelope
	for i := range n {
		es = append(es, r.ingest(fmt.Sprintf("shop/%d", i), shop(sales(i+1, good)...)))
	}
	var wg sync.WaitGroup
	for _, e := range es {
		f := r.function()
		wg.Go(func() {
			if o := r.Deliver(t, f, validate.Name, e); o.Err != nil {
				t.Error(o.Err)
			}
		})
	}
	wg.Wait()
	ds := r.State(t, pipeline).Dataset
	if len(ds.Partitions) != n || ds.Rows != n*(n+1)/2 || len(ds.Snapshots) != n {
		t.Errorf("dataset of %d partitions, %d rows, %d snapshots", len(ds.Partitions), ds.Rows, len(ds.Snapshots))
	}
	last := functiontest.Data[events.DatasetValidated](t, r.Events(t, pipeline, events.DatasetValidated{}.EventType())[n-1])
	if names := fmt.Sprint(r.manifest(last)); names != "[shop/0 shop/1 shop/2 shop/3 shop/4 shop/5]" {
		t.Errorf("manifest %s", names)
	}
	if p := r.profile(last.Profile); p.Rows != n*(n+1)/2 {
		t.Errorf("profile of %d rows", p.Rows)
	}
}
