package ingest_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/ingest"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// prediction is one row of the prediction log.
type prediction struct {
	request string
	row     int64
	version int64
	city    string
	price   float64
	score   float64
}

// epoch is when the first prediction of a batch was asked for.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// logged writes a batch of the prediction log and emits it, as inference
// does. The batch was asked for so many minutes after the epoch.
func (r env) logged(minutes int, ps ...prediction) {
	r.t.Helper()
	b := &table.Batch{
		Schema: table.Schema{
			{Name: "request_id", Type: table.String}, {Name: "row", Type: table.Int}, {Name: "time", Type: table.Timestamp},
			{Name: "version", Type: table.Int}, {Name: "route", Type: table.String},
			{Name: "city", Type: table.String}, {Name: "price", Type: table.Float},
			{Name: "prediction", Type: table.String}, {Name: "score", Type: table.Float}, {Name: "latency_ms", Type: table.Float},
		},
		Rows: len(ps), Columns: make([]table.Vector, 10),
	}
	c := b.Columns
	for i, p := range ps {
		c[0].Strings = append(c[0].Strings, p.request)
		c[1].Ints = append(c[1].Ints, p.row)
		c[2].Ints = append(c[2].Ints, epoch.Add(time.Duration(minutes)*time.Minute).Add(time.Duration(i)).UnixMicro())
		c[3].Ints = append(c[3].Ints, p.version)
		c[4].Strings = append(c[4].Strings, "champion")
		c[5].Strings = append(c[5].Strings, p.city)
		c[6].Floats = append(c[6].Floats, p.price)
		c[7].Strings = append(c[7].Strings, "true")
		c[8].Floats = append(c[8].Floats, p.score)
		c[9].Floats = append(c[9].Floats, 1.5)
	}
	r.loggedAs(b)
}

// loggedAs emits a batch of the prediction log.
func (r env) loggedAs(b *table.Batch) {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "batch.parquet")
	writeTable(r.t, path, b)
	ref, err := r.Artifacts.PutFile(functiontest.Context(r.t), path, ".parquet", true)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Announce(r.t, pipeline, "inference", events.PredictionsLogged{Batch: ref, Rows: int64(b.Rows), From: epoch.String(), To: epoch.String()})
}

func (r env) labelled(e events.Envelope) (events.LabelsIngested, []events.PartitionIngested) {
	r.t.Helper()
	got := r.handle(e)
	labels := functiontest.Data[events.LabelsIngested](r.t, got[0])
	var parts []events.PartitionIngested
	for _, e := range got[1:] {
		parts = append(parts, functiontest.Data[events.PartitionIngested](r.t, e))
	}
	return labels, parts
}

func TestLabelsOfPredictions(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	r.logged(0, prediction{"007", 0, 1, "Rome", 2, 0.25}, prediction{"007", 1, 1, "Oslo", 3, 0.5})
	r.logged(1, prediction{"b", 0, 1, "Bonn", 4, 0.75}, prediction{"c", 0, 2, "Kiel", 5, 0.125})
	// The same request once more: the newest prediction is the one that counts.
	r.logged(2, prediction{"b", 0, 2, "Bonn", 6, 1})

	e := r.upload("labels/a.csv", []byte(strings.Join([]string{
		"request_id,row,sold,note",
		"b,0,false,kept",
		"007,1,true,",
		"unknown,0,true,",
		"007,0,true,replaced",
		"c,0,,no label",
		"007,0,false,last",
	}, "\n")+"\n"))
	labels, parts := r.labelled(e)
	if labels.Rows != 4 || labels.Matched != 3 || labels.Unmatched != 1 {
		t.Errorf("labels %+v", labels)
	}
	if want := "1 rows have the key of a later row, which counts; 1 rows without a key or a label are left out"; labels.Note != want {
		t.Errorf("note %q, want %q", labels.Note, want)
	}
	wantRows(t, r.rows(labels.Data), "request_id,row,sold,note", "b,0,false,kept", "007,1,true,-", "unknown,0,true,-", "007,0,false,last")
	wantRows(t, r.rows(labels.Joined),
		"request_id,row,time,version,route,city,price,prediction,score,latency_ms,sold,note",
		"b,0,2026-03-01T12:02:00Z,2,champion,Bonn,6,true,1,1.5,false,kept",
		"007,1,2026-03-01T12:00:00Z,1,champion,Oslo,3,true,0.5,1.5,true,-",
		"007,0,2026-03-01T12:00:00Z,1,champion,Rome,2,true,0.25,1.5,false,last",
	)
	if len(parts) != 1 || !parts[0].Labels || parts[0].Rows != 3 {
		t.Fatalf("partitions %+v", parts)
	}
	wantRows(t, r.rows(parts[0].Data), "city,price,sold", "Bonn,6,false", "Oslo,3,true", "Rome,2,false")
	if o := r.object("labels/a.csv"); o.Status != state.ObjectIngested || o.Partition != parts[0].Data.Digest {
		t.Errorf("object %+v", o)
	}
}

func TestLabelsOfModelsWithOtherFeatures(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	r.loggedAs(&table.Batch{
		Schema: table.Schema{
			{Name: "request_id", Type: table.String}, {Name: "row", Type: table.Int}, {Name: "time", Type: table.Timestamp},
			{Name: "version", Type: table.Int}, {Name: "country", Type: table.String}, {Name: "score", Type: table.Float},
		},
		Rows: 1, Columns: []table.Vector{
			{Strings: []string{"old"}}, {Ints: []int64{0}}, {Ints: []int64{epoch.UnixMicro()}}, {Ints: []int64{1}}, {Strings: []string{"Italy"}}, {Floats: []float64{0.5}},
		},
	})
	r.logged(1, prediction{"new", 0, 2, "Rome", 2, 0.25})
	labels, parts := r.labelled(r.upload("labels/a.csv", []byte("request_id,row,sold\nold,0,true\nnew,0,false\n")))
	wantRows(t, r.rows(labels.Joined),
		"request_id,row,time,version,route,city,price,prediction,score,latency_ms,country,sold",
		"old,0,2026-03-01T12:00:00Z,1,-,-,-,-,0.5,-,Italy,true",
		"new,0,2026-03-01T12:01:00Z,2,champion,Rome,2,true,0.25,1.5,-,false")
	if want := "1 labelled rows do not join the dataset: neither their features nor the labels have city, price"; labels.Note != want {
		t.Errorf("note %q, want %q", labels.Note, want)
	}
	wantRows(t, r.rows(parts[0].Data), "city,price,sold", "Rome,2,false")
}

func TestLabelsThatLackColumnsDoNotJoinTheDataset(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, strings.Replace(contract(""), "sold:  {type: bool}", "sold:  {type: bool}\n      margin: {type: float}\n      code: {type: string}", 1))
	r.logged(0, prediction{"a", 0, 1, "Rome", 2, 0.25})
	labels, parts := r.labelled(r.upload("labels/a.csv", []byte("request_id,row,sold,code\na,0,true,007\n")))
	if labels.Matched != 1 || len(parts) != 0 || !strings.Contains(labels.Note, "have margin") {
		t.Errorf("labels %+v, partitions %v", labels, parts)
	}
	if o := r.object("labels/a.csv"); o.Status != state.ObjectLabels {
		t.Errorf("object %+v", o)
	}

	// What the file brings has the contract's types: a code keeps its zeros.
	labels, parts = r.labelled(r.upload("labels/b.csv", []byte("request_id,row,sold,code,margin\na,0,true,007,1\n")))
	if labels.Note != "" || len(parts) != 1 {
		t.Fatalf("labels %+v, partitions %v", labels, parts)
	}
	wantRows(t, r.rows(parts[0].Data), "city,code,margin,price,sold", "Rome,007,1,2,true")
}

func TestLabelsBeforeTheirPredictions(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.LabelsWait = time.Minute
	r := newEnv(t, cfg)
	r.ConfigureYAML(t, contract(""))
	e := r.upload("labels/a.csv", []byte("request_id,row,sold\na,0,true\n"))
	if o := r.Deliver(t, r.f, ingest.Name, e); !o.Deferred || !strings.Contains(o.Err.Error(), "wait for predictions") {
		t.Fatalf("got %+v", o)
	}
	r.logged(0, prediction{"a", 0, 1, "Rome", 2, 0.25})
	if labels, _ := r.labelled(e); labels.Matched != 1 {
		t.Errorf("labels %+v", labels)
	}
}

func TestLabelsAreReadAgainUntilAllMatch(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	file := []byte("request_id,row,sold\na,0,true\n")
	if labels, parts := r.labelled(r.upload("labels/a.csv", file)); labels.Matched != 0 || labels.Unmatched != 1 || len(parts) != 0 || !labels.Joined.IsZero() {
		t.Errorf("before the prediction: %+v", labels)
	}
	r.logged(0, prediction{"a", 0, 1, "Rome", 2, 0.25})
	labels, parts := r.labelled(r.upload("labels/a.csv", file))
	if labels.Matched != 1 || len(parts) != 1 {
		t.Errorf("after the prediction: %+v", labels)
	}
	// Now the object is a partition that is being validated.
	if why := r.nothing(r.upload("labels/a.csv", file)); !strings.Contains(why, "the same bytes") {
		t.Errorf("reason %q", why)
	}
}

func TestLabelsOfEntities(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, strings.Replace(contract(""), "[request_id, row]", "[city]", 1))
	r.logged(0, prediction{"a", 0, 1, "Rome", 2, 0.25}, prediction{"b", 0, 1, "Rome", 3, 0.5})
	labels, parts := r.labelled(r.upload("labels/a.csv", []byte("city,sold\nRome,true\nOslo,false\n")))
	if labels.Matched != 1 || labels.Unmatched != 1 || len(parts) != 0 || !strings.Contains(labels.Note, "by entity") {
		t.Errorf("labels %+v, partitions %v", labels, parts)
	}
	wantRows(t, r.rows(labels.Joined),
		"request_id,row,time,version,route,city,price,prediction,score,latency_ms,sold",
		"b,0,2026-03-01T12:00:00Z,1,champion,Rome,3,true,0.5,1.5,true")
}

func TestLabelsOfWhatIsNotLogged(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, strings.Replace(strings.Replace(contract(""), "[request_id, row]", "[customer]", 1), "sold:  {", "customer: {type: string}\n      sold:  {", 1))
	labels, _ := r.labelled(r.upload("labels/a.csv", []byte("customer,sold\nc1,true\n")))
	if labels.Unmatched != 1 || !strings.Contains(labels.Note, "cannot be found by customer") {
		t.Errorf("labels %+v", labels)
	}
}

func TestBadLabels(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings())
	r.ConfigureYAML(t, contract(""))
	for name, test := range map[string]struct{ content, reason string }{
		"NoKey":       {"request,row,sold\na,0,true\n", "request_id"},
		"NoLabel":     {"request_id,row,late\na,0,true\n", "sold"},
		"AllNull":     {"request_id,row,sold\na,0,\n,0,true\n", "no row has both a key (request_id, row) and a label (sold)"},
		"RowIsNoInt":  {"request_id,row,sold\na,first,true\n", "first"},
		"LabelIsText": {"request_id,row,sold\na,0,perhaps\n", "perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			got := only[events.PartitionRejected](t, r.handle(r.upload("labels/"+name+".csv", []byte(test.content))))
			t.Log(got.Problems)
			if !strings.Contains(got.Problems[0].Reason, test.reason) {
				t.Errorf("problems %+v, want %q", got.Problems, test.reason)
			}
		})
	}
}
