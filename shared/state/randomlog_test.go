package state_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
)

// randomLog draws events of every type of the catalogue for a few pipelines,
// from few names, digests and versions, so that they speak of each other.
// Among them are what no Millrace of today writes: duplicates, unknown types,
// fields of later versions, and data of another shape.
type randomLog struct {
	rng   *rand.Rand
	specs []json.RawMessage
	past  []events.Envelope
}

var pipelines = []string{"flights", "patients"}

// specs are configurations that differ.
func specs(t testing.TB) []json.RawMessage {
	t.Helper()
	var out []json.RawMessage
	for _, strategy := range []string{"direct", "canary"} {
		dir := t.TempDir()
		text := "apiVersion: millrace.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: flights}\nspec:\n  data: {uploads: [\"flights/*\"], columns: {x: {type: float}, y: {type: float}}}\n" +
			"  model: {task: regression, label: y, features: [x]}\n  promote: {strategy: " + strategy + "}\n"
		if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := config.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Pipeline.JSON())
	}
	return append(out, json.RawMessage(`{}`))
}

func newRandomLog(seed uint64, specs []json.RawMessage) *randomLog {
	return &randomLog{rng: rand.New(rand.NewPCG(seed, 7)), specs: specs} //nolint:gosec // the same log again
}

// draw returns n events.
func (l *randomLog) draw(n int) []events.Envelope {
	first := len(l.past)
	for i := range n {
		l.past = append(l.past, l.one(first+i))
	}
	return l.past[first:]
}

var epoch = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func (l *randomLog) one(n int) events.Envelope {
	if n > 0 && l.rng.IntN(20) == 0 {
		return l.past[l.rng.IntN(n)] // a duplicate
	}
	all := events.Catalogue()
	kind := all[l.rng.IntN(len(all))]
	if l.rng.IntN(3) > 0 { // what the other events depend on is more frequent
		kind, _ = events.Lookup(events.TypePrefix + l.pick(
			"object.uploaded", "partition.ingested", "dataset.validated", "training.started", "training.completed", "model.approved",
			"partition.rejected", "rollout.started", "rollout.advanced", "rollout.completed", "rollout.aborted", "predictions.logged", "event.handled") + ".v1")
	}
	e := events.Envelope{Header: events.Header{
		ID: fmt.Sprintf("e%d", n), Source: events.Source("test"), Type: kind.Name, Pipeline: pipelines[l.rng.IntN(len(pipelines))],
		CausationID: l.id(n), Time: epoch.Add(time.Duration(n) * time.Second), Sequence: uint64(n + 1),
	}}
	data := reflect.New(reflect.TypeOf(kind.Zero)).Elem()
	l.fill(data, "", n)
	l.about(&e, data)
	var err error
	if e.Data, err = json.Marshal(data.Interface()); err != nil {
		panic(err)
	}
	if l.rng.IntN(25) == 0 {
		e.Attributes = map[string]string{events.AttributeRetryOf: "d", events.AttributeOriginal: l.id(n)}
	}
	switch l.rng.IntN(25) {
	case 0:
		e.Type = l.pick("dev.millrace.model.distilled.v1", "dev.millrace.rollout.started.v2", "com.example.thing", "")
	case 1:
		e.Data = json.RawMessage(l.pick(`null`, `[]`, `"text"`, `{"object": 7}`, `{"version": "v1", "run": []}`, `{}`))
	case 2:
		e.Data = withLaterFields(e.Data)
	}
	return e
}

// about lets what is said of an object be said of one that was uploaded lately,
// mostly, and because of that upload.
func (l *randomLog) about(e *events.Envelope, data reflect.Value) {
	upload := e.Type == events.ObjectUploaded{}.EventType() || e.Type == events.ObjectRemoved{}.EventType()
	field := data.FieldByName("Object")
	if upload || !field.IsValid() || l.rng.IntN(5) == 0 {
		return
	}
	for back := range min(40, len(l.past)) {
		b := l.past[len(l.past)-1-back]
		if b.Type != (events.ObjectUploaded{}).EventType() || b.Pipeline != e.Pipeline || l.rng.IntN(3) == 0 {
			continue
		}
		if d, err := events.Decode[events.ObjectUploaded](b); err == nil {
			field.Set(reflect.ValueOf(d.Data.Object))
			e.CausationID = b.ID
			return
		}
	}
}

// withLaterFields adds what a later version may say.
func withLaterFields(data json.RawMessage) json.RawMessage {
	if text := string(data); strings.HasPrefix(text, "{") && len(text) > 2 {
		return json.RawMessage(`{"laterField": {"version": 9, "weights": [1]},` + text[1:])
	}
	return data
}

func (l *randomLog) pick(of ...string) string { return of[l.rng.IntN(len(of))] }

func (l *randomLog) id(n int) string { return fmt.Sprintf("e%d", max(0, n-l.rng.IntN(12))) }

// fill draws a value, by the name of its field where that is enough.
func (l *randomLog) fill(v reflect.Value, name string, n int) {
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes(l.specs[l.rng.IntN(len(l.specs))])
		return
	case events.Envelope:
		v.Set(reflect.ValueOf(events.Envelope{Header: events.Header{ID: l.id(n), Source: "s", Type: "t"}, Data: json.RawMessage(`{}`)}))
		return
	}
	switch v.Kind() { //nolint:exhaustive // these are what events are made of
	case reflect.Struct:
		for i := range v.NumField() {
			l.fill(v.Field(i), v.Type().Field(i).Name, n)
		}
	case reflect.Pointer:
		if l.rng.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			l.fill(v.Elem(), name, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), l.rng.IntN(4), 4))
		for i := range v.Len() {
			l.fill(v.Index(i), name, n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, k := range []string{"a", "b"}[:l.rng.IntN(3)] {
			x := reflect.New(v.Type().Elem()).Elem()
			l.fill(x, name, n)
			v.SetMapIndex(reflect.ValueOf(k), x)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{1.5, "x", true, nil, []any{"y"}}[:3][l.rng.IntN(3)]))
	case reflect.String:
		v.SetString(l.word(name, n))
	case reflect.Bool:
		v.SetBool(l.rng.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(l.rng.IntN(5) - l.rng.IntN(2)))
	case reflect.Float64:
		v.SetFloat(float64(l.rng.IntN(11)) * 10)
	default:
		panic(v.Type())
	}
}

func (l *randomLog) word(name string, n int) string {
	switch name {
	case "Key", "RemovedObject":
		return l.pick("k0", "k1", "k2", "k3")
	case "Bucket":
		return l.pick("", "", "s3://b")
	case "Sequencer":
		return l.pick("", "0A", "0B", "C")
	case "Digest", "Removed", "Snapshot", "Partition", "Content":
		return l.pick("d0", "d1", "d2", "d3")
	case "Run":
		return l.pick("r0", "r1", "r2")
	case "Stage":
		return l.pick("ingest", "validate")
	case "Function":
		return l.pick("ingest", "validate")
	case "Type":
		return l.pick(events.ObjectUploaded{}.EventType(), "other")
	case "Event", "Last", "DeadLetter", "Causes":
		return l.id(n)
	case "Until", "Due", "From", "To":
		return l.pick("", "2026-02-01T00:00:00Z", "no time")
	}
	return l.pick("", "x", "y", "<&>\u2028é")
}
