package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent"
	"millrace.dev/shared/eventlog"
)

const structured = "application/cloudevents+json"

// One event from outside must not make the log unreadable.
func TestEventsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	deep := strings.Repeat("[", 9_998) + strings.Repeat("]", 9_998)
	for name, tt := range map[string]struct {
		says, data string
		attributes []string
	}{
		"a year of five digits": {"years 1 to 9999", "{}", []string{"time", "9999-12-31T23:59:59-23:59"}},
		"a negative year":       {"years 1 to 9999", "{}", []string{"time", "0000-01-01T00:00:00+14:00"}},
		"a control character":   {"attribute subject", "{}", []string{"subject", "a%0Ab"}},
		"a C1 control":          {"attribute subject", "{}", []string{"subject", "a%C2%9Bb"}},
		"data that is too deep": {"nested 9998 deep", deep, nil},
		"data as an attribute":  {"changes", "", []string{"data", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := r
			r.t = t
			r.event("com.example.hello", name, tt.data, tt.attributes...).is(http.StatusBadRequest, tt.says)
		})
	}
	for _, path := range []string{"/api/status", "/api/events?limit=100", "/api/pipelines/flights/export"} {
		r.get(path).is(http.StatusOK)
	}
	if n := len(r.Events(t, "flights", "com.example.hello")); n != 0 {
		t.Errorf("%d of them are in the log", n)
	}
}

// FuzzAccepted: what the gateway accepts is stored, readable, listed, exported,
// imported and then the same.
func FuzzAccepted(f *testing.F) {
	for _, v := range []string{"a", "\u00e9 \U0001f600", "\u009b", "%41\"", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "2016-12-31T23:59:60Z"} {
		for _, name := range []string{"subject", "time", "id", "source", "sequence", "logplace", "recordedtime", "data", "ext1"} {
			f.Add(name, v, []byte(`{"a": [1.50, "<&>"], "b": 12345678901234567890}`))
		}
	}
	f.Add("x", "y", []byte(strings.Repeat("[", 1000)+strings.Repeat("]", 1000)))
	f.Add("x", "y", []byte(strings.Repeat("[", 1001)+strings.Repeat("]", 1001)))
	f.Add("x", "y", []byte(strings.Repeat("[", 9999)+strings.Repeat("]", 9999)))
	f.Add("x", "y", []byte("\"\xff\""))
	from, to := newEnv(f, settings(), flights), newEnv(f, settings())
	sent := 0
	f.Fuzz(func(t *testing.T, name, value string, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		from, to := from, to
		from.t, to.t = t, t
		sent++
		m := map[string]any{"specversion": "1.0", "id": fmt.Sprint(sent), "source": "/fuzz", "type": "com.example.fuzz", name: value, "pipeline": "flights"}
		if json.Valid(data) {
			m["data"] = json.RawMessage(data)
		} else {
			m["data_base64"] = data
		}
		body, err := json.Marshal(m)
		if err != nil {
			return
		}
		before, err := from.Log.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a := from.post("/events", string(body), "Content-Type", structured); a.status != http.StatusAccepted {
			if a.status >= http.StatusInternalServerError {
				t.Errorf("%d %s", a.status, a.body)
			}
			return
		}
		accepted(t, from, to, before)
	})
}

// accepted checks the event that was appended after the sequence, if one was.
func accepted(t *testing.T, r, to env, before uint64) {
	t.Helper()
	var kept []events.Envelope
	for e, err := range r.Log.Read(t.Context(), eventlog.Filter{From: before + 1}) {
		if err != nil {
			t.Fatalf("it cannot be read: %v", err)
		}
		kept = append(kept, e)
	}
	if len(kept) == 0 {
		return // a duplicate
	}
	e := kept[0]
	listed := decode[events.Envelope](r.get(fmt.Sprintf("/api/events?from=%d&limit=1", e.Sequence)).is(http.StatusOK))
	delete(listed.Attributes, "sequence")
	if !cloudevent.Same(listed, e) {
		t.Errorf("stored as %+v and listed as %+v", e, listed)
	}
	r.get("/api/events/" + url.PathEscape(e.ID) + "?pipeline=flights")
	file := r.get("/api/pipelines/flights/export").is(http.StatusOK).body
	to.post("/api/import", string(file)).is(http.StatusOK)
	imported := to.Events(t, "flights")
	i := slices.IndexFunc(imported, func(x events.Envelope) bool { return x.ID == e.ID && x.Source == e.Source && x.Type == e.Type })
	if i < 0 {
		t.Fatalf("%+v was not imported", e.Header)
	}
	delete(imported[i].Attributes, events.AttributeRecordedTime)
	if !cloudevent.Same(imported[i], e) {
		t.Errorf("stored as %+v and imported as %+v", e, imported[i])
	}
	to.State(t, "flights")
}
