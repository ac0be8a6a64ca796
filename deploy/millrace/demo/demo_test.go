package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/table"
)

// flights writes a small month of five flights.
func flights(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.parquet")
	w, err := table.Create(path, table.Schema{
		{Name: "time_hour", Type: table.Timestamp}, {Name: "carrier", Type: table.String}, {Name: "hour", Type: table.Int},
		{Name: "temp", Type: table.Float}, {Name: "late", Type: table.Bool},
	})
	must(t, err)
	must(t, w.Write(&table.Batch{Rows: 5, Columns: []table.Vector{
		{Ints: []int64{0, 1, 2, 3, 4}}, {Strings: []string{"UA", "AA", "B6", "DL", "UA"}}, {Ints: []int64{5, 6, 7, 8, 9}},
		{Floats: []float64{1.5, 0, 3, 4, 5}, Nulls: []bool{false, true, false, false, false}}, {Bools: []bool{true, false, false, true, false}},
	}}))
	must(t, w.Close())
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var inputs = []client.Tensor{{Name: "carrier", Datatype: "BYTES"}, {Name: "hour", Datatype: "INT64"}, {Name: "temp", Datatype: "FP64"}}

func TestMonthBecomesRequests(t *testing.T) {
	m, err := readMonth(flights(t), "apr", inputs)
	must(t, err)
	got, err := m.request(m.requestID(1), 0, 2)
	must(t, err)
	const want = `{"id":"apr-00001","inputs":[` +
		`{"name":"carrier","shape":[2,1],"datatype":"BYTES","data":["UA","AA"]},` +
		`{"name":"hour","shape":[2,1],"datatype":"INT64","data":[5,6]},` +
		`{"name":"temp","shape":[2,1],"datatype":"FP64","data":[1.5,null]}]}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if _, err := readMonth(flights(t), "apr", []client.Tensor{{Name: "wind"}}); err == nil {
		t.Error("a column that is not there is taken")
	}
}

func TestLabelsHaveTheKeysOfTheRequests(t *testing.T) {
	m, err := readMonth(flights(t), "apr", inputs)
	must(t, err)
	path := filepath.Join(t.TempDir(), "labels.parquet")
	must(t, m.writeLabels(path, 2))
	r, err := table.Open(path, nil)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	b, err := r.Next(10)
	must(t, err)
	if names := fmt.Sprint(r.Schema().Names()); names != "[request_id row time_hour late]" {
		t.Fatal(names)
	}
	ids, rows := b.Column("request_id").Strings, b.Column("row").Ints
	if fmt.Sprint(ids) != "[apr-00001 apr-00001 apr-00002 apr-00002 apr-00003]" || fmt.Sprint(rows) != "[0 1 0 1 0]" {
		t.Errorf("%v %v", ids, rows)
	}
	if late := fmt.Sprint(b.Column("late").Bools); late != "[true false false true false]" {
		t.Error(late)
	}
}

// inference answers requests; odd ones by another version.
func inference(t *testing.T, status func(n int64) int) *client.Client {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i := n.Add(1)
		w.WriteHeader(status(i))
		fmt.Fprintf(w, `{"model_version": "%d"}`, 1+i%2)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, "")
	must(t, err)
	return c
}

func TestTraffic(t *testing.T) {
	m, err := readMonth(flights(t), "apr", inputs)
	must(t, err)
	ok := func(int64) int { return http.StatusOK }
	r := send(t.Context(), inference(t, ok), m, 2, false, 0).done()
	if r.requests != 3 || r.rows != 5 || r.failed != 0 || r.failure != nil || r.versions[1]+r.versions[2] != 3 || len(r.took) != 3 {
		t.Errorf("%+v", r)
	}
	// A month that is sent again and again, until it is enough.
	live := send(t.Context(), inference(t, ok), m, 1, true, 10_000)
	for live.so().requests < 20 && t.Context().Err() == nil {
		live.rate(0)
	}
	if r := live.stop(); r.requests < 20 || r.failed != 0 {
		t.Errorf("%+v", r)
	}
	r = send(t.Context(), inference(t, func(n int64) int { return map[bool]int{true: 503, false: 200}[n == 2] }), m, 1, false, 0).done()
	if r.failed != 1 || r.failure == nil || r.requests != 5 {
		t.Errorf("%+v", r)
	}
}

func entry(sequence uint64, d events.Data) events.Envelope {
	b, _ := json.Marshal(d)
	return events.Envelope{Header: events.Header{ID: fmt.Sprint(sequence), Source: "/x", Type: d.EventType(), Sequence: sequence}, Data: b}
}

func (j *journal) add(es ...events.Envelope) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, es...)
	close(j.changed)
	j.changed = make(chan struct{})
}

func TestAwait(t *testing.T) {
	j := newJournal()
	j.add(entry(1, events.TrainingStarted{Run: "r1"}), entry(2, events.TrainingStarted{Run: "r2"}))
	if e, err := await[events.TrainingStarted](t.Context(), j, 1, nil); err != nil || e.Data.Run != "r2" {
		t.Errorf("%+v, %v", e, err)
	}
	go j.add(entry(3, events.ModelPromoted{Version: 1}), entry(4, events.ModelPromoted{Version: 2}))
	e, err := await(t.Context(), j, 2, func(e events.Event[events.ModelPromoted]) bool { return e.Data.Version == 2 })
	if err != nil || e.Sequence != 4 {
		t.Errorf("%+v, %v", e, err)
	}
	go j.add(entry(5, events.TrainingFailed{Run: "r2", Reason: "exit 1"}))
	if _, err := await[events.TrainingCompleted](t.Context(), j, 4, nil); err == nil || !strings.Contains(err.Error(), "exit 1") {
		t.Errorf("a failed training is not told of: %v", err)
	}
	late, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, fmt.Errorf("too late"))
	defer cancel()
	if _, err := await[events.DriftDetected](late, j, 5, nil); err == nil || err.Error() != "no drift.detected came: too late" {
		t.Error(err)
	}
}

func TestDirIsMadeAnewOnlyIfItIsADemos(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	d := &demo{Options: Options{Dir: dir}}
	must(t, d.prepareDir())
	must(t, os.WriteFile(filepath.Join(dir, "old"), nil, 0o600))
	must(t, d.prepareDir())
	if _, err := os.Stat(filepath.Join(dir, "old")); err == nil {
		t.Error("the demo before is still there")
	}
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "thesis.tex"), nil, 0o600))
	d = &demo{Options: Options{Dir: other}}
	if err := d.prepareDir(); err == nil {
		t.Error("a folder that is not a demo's would be removed")
	}
	if _, err := os.Stat(filepath.Join(other, "thesis.tex")); err != nil {
		t.Error(err)
	}
}

func TestLeadsTo(t *testing.T) {
	node := func(id string, causes ...*api.WhyNode) *api.WhyNode {
		return &api.WhyNode{ID: id, Causes: causes}
	}
	tree := []*api.WhyNode{node("a", node("b"), node("c", node("drift")))}
	if !leadsTo(tree, "drift") || leadsTo(tree, "other") {
		t.Error("the tree is not searched")
	}
}
