package ingest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/ingest"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

const pipeline = "shop"

// contract is a pipeline with a small contract; %s stands for more of spec.data.
func contract(more string) string {
	return `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  data:
    uploads: ["shop/*", "s3://landing/shop/**"]
    columns:
      city:  {type: string}
      price: {type: float}
      sold:  {type: bool}
    labels: {uploads: ["labels/*"], key: [request_id, row]}
    ` + more + `
  model: {task: binary_classification, label: sold, features: [city, price]}
`
}

// env is the function over a real log and store.
type env struct {
	*functiontest.Env
	t *testing.T
	f *ingest.F
}

// settings are the defaults, but that labels wait for nothing.
func settings() ingest.Config {
	return ingest.Config{
		MaxBytes: 24 << 20, MaxUnpackedBytes: 24 << 20, MaxRows: 10_000_000, MaxColumns: 100,
		Memory: "256MB", AtOnce: 2, Timeout: time.Minute, LabelsWithin: time.Hour, LabelsBatches: 100,
	}
}

func newEnv(t *testing.T, cfg ingest.Config) env {
	t.Helper()
	b := functiontest.New(t)
	f, err := ingest.New(cfg, b.Deps(t, ingest.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return env{b, t, f}
}

// upload puts bytes through the gateway's door.
func (r env) upload(key string, content []byte) events.Envelope {
	r.t.Helper()
	ref, err := r.Artifacts.PutBytes(functiontest.Context(r.t), content, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Announce(r.t, pipeline, "gateway", events.ObjectUploaded{
		Object: events.Object{Key: key, Size: int64(len(content))}, Content: ref, By: "upload",
	})[0]
}

func (r env) handle(e events.Envelope) []events.Envelope {
	r.t.Helper()
	return r.Handle(r.t, r.f, ingest.Name, e)
}

func (r env) ingested(e events.Envelope) events.PartitionIngested {
	r.t.Helper()
	return only[events.PartitionIngested](r.t, r.handle(e))
}

// nothing handles an event that needs no work, and returns the reason.
func (r env) nothing(e events.Envelope) string {
	r.t.Helper()
	return only[events.EventHandled](r.t, r.handle(e)).Reason
}

func (r env) object(key string) *state.Object { return r.State(r.t, pipeline).Objects[key] }

// only is the data of the one event that came.
func only[T events.Data](t *testing.T, es []events.Envelope) T {
	t.Helper()
	if len(es) != 1 {
		t.Fatalf("got %d events: %v", len(es), es)
	}
	if want := (*new(T)).EventType(); es[0].Type != want {
		t.Fatalf("got %s %s, want %s", es[0].Type, es[0].Data, want)
	}
	return functiontest.Data[T](t, es[0])
}

// rows reads a table of the store, a row a line.
func (r env) rows(ref events.Ref) []string {
	r.t.Helper()
	path, err := r.Artifacts.Path(functiontest.Context(r.t), ref)
	if err != nil {
		r.t.Fatal(err)
	}
	tab, err := table.Open(path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := tab.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	lines := []string{strings.Join(tab.Schema().Names(), ",")}
	for {
		b, err := tab.Next(1000)
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			r.t.Fatal(err)
		}
		for i := range b.Rows {
			lines = append(lines, line(b, i))
		}
	}
}

func wantRows(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const shop = "city,price,sold\nRome,2.5,true\nOslo,1,false\nRome,,true\n"

func gzipped(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parquet is the shop as Parquet.
func parquet(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.parquet")
	writeTable(t, path, &table.Batch{
		Schema: table.Schema{{Name: "city", Type: table.String}, {Name: "price", Type: table.Float}, {Name: "sold", Type: table.Bool}},
		Rows:   3,
		Columns: []table.Vector{
			{Strings: []string{"Rome", "Oslo", "Rome"}},
			{Floats: []float64{2.5, 1, 0}, Nulls: []bool{false, false, true}},
			{Bools: []bool{true, false, true}},
		},
	})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUpload(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	for key, content := range map[string][]byte{
		"shop/a.csv":     []byte(shop),
		"shop/b.csv.gz":  gzipped(t, shop),
		"shop/c.jsonl":   []byte(`{"city":"Rome","price":2.5,"sold":true}` + "\n" + `{"city":"Oslo","price":1,"sold":false}` + "\n" + `{"city":"Rome","price":null,"sold":true}` + "\n"),
		"shop/d.parquet": parquet(t),
	} {
		t.Run(key, func(t *testing.T) {
			r.t = t
			e := r.upload(key, content)
			got := r.ingested(e)
			if got.Rows != 3 || got.Object.Key != key || got.Config != r.State(t, pipeline).Configured.Digest {
				t.Errorf("got %+v", got)
			}
			want := []events.Field{{Name: "city", Type: "string"}, {Name: "price", Type: "float"}, {Name: "sold", Type: "bool"}}
			if !slices.Equal(got.Fields, want) {
				t.Errorf("fields %v, want %v", got.Fields, want)
			}
			wantRows(t, r.rows(got.Data), "city,price,sold", "Rome,2.5,true", "Oslo,1,false", "Rome,-,true")
			if o := r.object(key); o.Status != state.ObjectIngested || o.Partition != got.Data.Digest {
				t.Errorf("object %+v", o)
			}
		})
	}
}

func TestSecondDeliveryAnnouncesNothingNew(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	e := r.upload("shop/a.csv", []byte(shop))
	first := r.handle(e)
	again := r.Deliver(t, r.f, ingest.Name, e)
	if !again.Duplicate || again.Events[0].ID != first[0].ID {
		t.Errorf("second delivery: %+v", again)
	}
	if n := len(r.Events(t, pipeline, events.PartitionIngested{}.EventType())); n != 1 {
		t.Errorf("%d partitions in the log", n)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	first := r.ingested(r.upload("shop/a.csv", []byte(shop)))
	if why := r.nothing(r.upload("shop/a.csv", []byte(shop))); !strings.Contains(why, "the same bytes as before") {
		t.Errorf("reason %q", why)
	}
	if o := r.object("shop/a.csv"); o.Status != state.ObjectIngested {
		t.Errorf("object %+v", o)
	}

	r.ConfigureYAML(t, contract("extra: ignore"))
	if second := r.ingested(r.upload("shop/a.csv", []byte(shop))); second.Data.Digest != first.Data.Digest || second.Config == first.Config {
		t.Errorf("under another configuration: %+v", second)
	}

	only[events.PartitionRejected](t, r.handle(r.upload("shop/bad.csv", []byte("a,b\n1,2\n"))))
	if why := r.nothing(r.upload("shop/bad.csv", []byte("a,b\n1,2\n"))); !strings.Contains(why, "they were rejected: ") || !strings.Contains(why, "city") {
		t.Errorf("reason %q", why)
	}
}

func TestReplacedObject(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	old := r.upload("shop/a.csv", []byte(shop))
	next := r.upload("shop/a.csv", []byte("city,price,sold\nBonn,3,true\n"))
	got := r.ingested(next)
	wantRows(t, r.rows(got.Data), "city,price,sold", "Bonn,3,true")
	if why := r.nothing(old); !strings.Contains(why, "superseded") {
		t.Errorf("reason %q", why)
	}
	if o := r.object("shop/a.csv"); o.Partition != got.Data.Digest {
		t.Errorf("object %+v", o)
	}
}

func TestRemovedObject(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	remove := func(key string) events.Envelope {
		return r.Announce(t, pipeline, "gateway", events.ObjectRemoved{Object: events.Object{Key: key}})[0]
	}
	part := r.ingested(r.upload("shop/a.csv", []byte(shop)))
	if got := only[events.PartitionRemoved](t, r.handle(remove("shop/a.csv"))); got.Partition != part.Data.Digest {
		t.Errorf("got %+v", got)
	}
	if why := r.nothing(remove("shop/never.csv")); !strings.Contains(why, "had no partition") {
		t.Errorf("reason %q", why)
	}

	late := remove("shop/a.csv")
	again := r.ingested(r.upload("shop/a.csv", []byte(shop)))
	if again.Data.Digest != part.Data.Digest {
		t.Errorf("the same bytes after a removal gave another partition: %+v", again)
	}
	if why := r.nothing(late); !strings.Contains(why, "superseded") {
		t.Errorf("reason %q", why)
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract("prepare: prepare.sql"),
		[2]string{"prepare.sql", `
SELECT c.name AS city, u.price, u.sold
FROM upload u JOIN cities c ON c.code = u.code
WHERE NOT EXISTS (SELECT 1 FROM dataset d WHERE d.city = c.name AND d.price = u.price)
ORDER BY u.price`},
		[2]string{"tables/cities.csv", "code,name\nRM,Rome\nOS,Oslo\n"})

	first := r.upload("shop/1.csv", []byte("code,price,sold\nOS,2,true\nRM,1,false\n"))
	part := r.ingested(first)
	wantRows(t, r.rows(part.Data), "city,price,sold", "Rome,1,false", "Oslo,2,true")
	r.join(part)

	second := r.ingested(r.upload("shop/2.csv", []byte("code,price,sold\nRM,1,true\nRM,7,true\n")))
	wantRows(t, r.rows(second.Data), "city,price,sold", "Rome,7,true")

	// A replaced upload is not compared with its own partition.
	replaced := r.ingested(r.upload("shop/1.csv", []byte("code,price,sold\nOS,2,false\n")))
	wantRows(t, r.rows(replaced.Data), "city,price,sold", "Oslo,2,false")

	rejected := only[events.PartitionRejected](t, r.handle(r.upload("shop/3.csv", []byte("code,price,sold\nRM,1,true\n"))))
	if reason := rejected.Problems[0].Reason; !strings.Contains(reason, "no rows are left") {
		t.Errorf("reason %q", reason)
	}
}

// join makes a partition part of the dataset, as validate would.
func (r env) join(d events.PartitionIngested) {
	r.t.Helper()
	manifest, err := r.Artifacts.PutBytes(functiontest.Context(r.t), []byte("[]"), ".json")
	if err != nil {
		r.t.Fatal(err)
	}
	r.Announce(r.t, pipeline, "validate", events.DatasetValidated{
		Snapshot: "s", Added: &events.DatasetPartition{Object: d.Object, Data: d.Data, Rows: d.Rows, Profile: manifest},
		Partitions: 1, Rows: d.Rows, Manifest: manifest, Profile: manifest,
	})
}

func TestWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	e := r.upload("shop/a.csv", []byte(shop))
	if got := only[events.DeadLetterRecorded](t, r.handle(e)); !got.Rejected || !strings.Contains(got.Reason, "no configuration yet") {
		t.Errorf("before the configuration: %+v", got)
	}
	r.ConfigureYAML(t, contract(""))
	foreign := r.Announce(t, pipeline, "gateway", events.ObjectUploaded{Object: events.Object{Bucket: "s3://elsewhere", Key: "shop/a.csv"}})[0]
	if why := r.nothing(foreign); !strings.Contains(why, "no glob") {
		t.Errorf("reason %q", why)
	}
	// A bucket of the right name in another store, or a folder, is not the one
	// that the pipeline watches.
	for _, bucket := range []string{"gs://landing", "file://landing", "file:///landing"} {
		e := r.Announce(t, pipeline, "gateway", events.ObjectUploaded{Object: events.Object{Bucket: bucket, Key: "shop/a.csv"}})[0]
		if why := r.nothing(e); !strings.Contains(why, "no glob") {
			t.Errorf("%s: reason %q", bucket, why)
		}
	}
}

func TestWhatARetryMayCureIsNoRejection(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	e := r.Announce(t, pipeline, "gateway", events.ObjectUploaded{
		Object: events.Object{Key: "shop/a.csv"}, Content: events.Ref{URL: "gone", Digest: "sha256:" + strings.Repeat("0", 64), Size: 1},
	})[0]
	o := r.Deliver(t, r.f, ingest.Name, e)
	if o.Err == nil || len(o.Events) != 0 {
		t.Errorf("got %+v", o)
	}
	if o := r.object("shop/a.csv"); o.Status != state.ObjectUploaded {
		t.Errorf("object %+v", o)
	}
}
