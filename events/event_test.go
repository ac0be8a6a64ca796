package events_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
)

func TestTypesAreWellNamed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range events.Catalogue() {
		if seen[typ.Name] {
			t.Errorf("%s is in the catalogue twice", typ.Name)
		}
		seen[typ.Name] = true
		noun, past := events.Words(typ.Name)
		if want := events.TypePrefix + noun + "." + past + ".v1"; typ.Name != want || typ.Noun() != noun || typ.Past() != past {
			t.Errorf("%s is not %s", typ.Name, want)
		}
		if got, ok := events.Lookup(typ.Name); !ok || got.Name != typ.Name {
			t.Errorf("%s is not found by its name", typ.Name)
		}
		if a, ok := typ.Zero.(events.Attributed); ok {
			for name := range a.Attributes() {
				if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(name) > 20 {
					t.Errorf("%s: %q is no name of an attribute", typ.Name, name)
				}
			}
		}
	}
	if _, ok := events.Lookup("dev.millrace.nothing.happened.v1"); ok {
		t.Error("a type was found that is not in the catalogue")
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"dev.millrace.model.approved.v1":                    "model.approved",
		"com.example.order.placed":                          "foreign.received",
		"dev.millrace.":                                     "foreign.received",
		"dev.millrace.a":                                    "foreign.received",
		"dev.millrace.A.b.v1":                               "foreign.received",
		"dev.millrace.a.*.v1":                               "foreign.received",
		"dev.millrace..b.v1":                                "foreign.received",
		"dev.millrace." + strings.Repeat("a", 64) + ".b.v1": "foreign.received",
	} {
		if noun, past := events.Words(name); noun+"."+past != want {
			t.Errorf("%s stands under %s.%s, want %s", name, noun, past, want)
		}
	}
}

func TestDecodeWantsItsType(t *testing.T) {
	t.Parallel()
	e := events.Envelope{Header: events.Header{ID: "1", Type: "dev.millrace.model.approved.v1"}, Data: json.RawMessage(`{"version": 2}`)}
	if _, err := events.Decode[events.ModelRejected](e); err == nil || !strings.Contains(err.Error(), "is of type dev.millrace.model.approved.v1") {
		t.Errorf("%v", err)
	}
	got, err := events.Decode[events.ModelApproved](e)
	if err != nil || got.Data.Version != 2 || got.ID != "1" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := events.DecodeData(events.Envelope{Header: events.Header{Type: "x"}}); err == nil {
		t.Error("an unknown type was decoded")
	}
}

func TestHeaderFrom(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"specversion": "1.0", "id": "1", "source": "/millrace/ingest", "type": "t", "subject": "s", "time": "2013-04-01T12:00:00.5Z",
		"datacontenttype": "application/json; charset=utf-8", "dataschema": "x", "pipeline": "flights", "correlationid": "c", "causationid": "d",
		"traceparent": "00-1", "version": "2",
	}
	h, err := events.HeaderFrom(good)
	if err != nil {
		t.Fatal(err)
	}
	if h.Function() != "ingest" || h.Pipeline != "flights" || h.Attributes["version"] != "2" || !h.Time.Equal(time.Date(2013, 4, 1, 12, 0, 0, 5e8, time.UTC)) {
		t.Errorf("%+v", h)
	}
	want := map[string]string{"pipeline": "flights", "correlationid": "c", "causationid": "d", "traceparent": "00-1", "version": "2"}
	if !maps.Equal(h.Extensions(), want) {
		t.Errorf("extensions are %v", h.Extensions())
	}
	for name, c := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"nothing there":   {map[string]string{"specversion": "", "id": "", "source": "", "type": ""}, []string{"specversion is missing", "id is missing", "source is missing", "type is missing"}},
		"another version": {map[string]string{"specversion": "0.3"}, []string{`specversion "0.3" is not supported`}},
		"a long id":       {map[string]string{"id": strings.Repeat("x", 1025)}, []string{"id has 1025 characters"}},
		"a bad time":      {map[string]string{"time": "yesterday"}, []string{`time "yesterday" is not an RFC 3339`}},
		"not JSON":        {map[string]string{"datacontenttype": "text/csv"}, []string{`"text/csv" is not taken`}},
		"a bad name":      {map[string]string{"my_name": "x"}, []string{`"my_name" is not lower-case`}},
		"all at once":     {map[string]string{"time": "x", "datacontenttype": "y", "Z": ""}, []string{"time", "datacontenttype", `"Z"`}},
	} {
		t.Run(name, func(t *testing.T) {
			attributes := maps.Clone(good)
			maps.Copy(attributes, c.change)
			_, err := events.HeaderFrom(attributes)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v; it must say %q", err, want)
				}
			}
		})
	}
}

func TestEnvelopeRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`: "a structured CloudEvent is a JSON object",
		`{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "a": {}}`:             "attribute a must be a string",
		`{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "aa"}`: "data_base64 is not a base64 string",
		`{"specversion": "1.0", "id": 1.5e3, "type": "t"}`:                                   "source is missing",
		`{"specversion": 1.0, "id": "1", "source": "s", "type": "t", "data": {}`:             "unexpected end of JSON input",
	} {
		var e events.Envelope
		if err := json.Unmarshal([]byte(text), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; it must say %q", text, err, want)
		}
	}
}

func TestCause(t *testing.T) {
	t.Parallel()
	if events.Cause("a", "bc") == events.Cause("ab", "c") || events.Cause("a") == events.Cause("a", "") {
		t.Error("two lists of parts have one cause")
	}
	if c := events.Cause("a"); len(c) != 32 || strings.Trim(c, "0123456789abcdef") != "" {
		t.Errorf("%q is no cause", c)
	}
	h := events.Header{Source: "s", ID: "1", Type: "request"}
	other := h
	other.Type = "response"
	if events.CauseOf(h) == events.CauseOf(other) {
		t.Error("a request and its response have one cause")
	}
}

// The order of magnitude and the width of the buckets are part of the contract.
func TestLatencyBounds(t *testing.T) {
	t.Parallel()
	b := events.LatencyBoundsMs
	if !slices.IsSorted(b) || b[0] != 0.1 || b[len(b)-1] < 26000 || b[len(b)-1] > 27000 {
		t.Errorf("bounds from %g to %g", b[0], b[len(b)-1])
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, typ := range events.Catalogue() {
		_, text := read[events.Envelope](f, typ.Name, "full.json")
		f.Add(text)
	}
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","n":null,"b":true,"x":1e9,"data":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e events.Envelope
		if json.Unmarshal(text, &e) != nil {
			return
		}
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		var again events.Envelope
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
		if again.ID != e.ID || again.Type != e.Type || again.Source != e.Source || !again.Time.Equal(e.Time) || !maps.Equal(again.Extensions(), e.Extensions()) {
			t.Fatalf("it changes on the way out and in:\n%+v\n%+v", e.Header, again.Header)
		}
		if d, err := events.DecodeData(e); err == nil {
			_ = d.Validate()
		}
	})
}

func FuzzHeaderFrom(f *testing.F) {
	f.Add("id", "1", "time", "2013-04-01T12:00:00Z")
	f.Add("datacontenttype", "application/problem+json", "pipeline", "_")
	f.Fuzz(func(t *testing.T, name, value, other, another string) {
		attributes := map[string]string{"specversion": "1.0", "id": "1", "source": "s", "type": "t", name: value, other: another}
		h, err := events.HeaderFrom(attributes)
		if err != nil {
			return
		}
		for k, v := range h.Extensions() {
			if attributes[k] != v {
				t.Fatalf("%s became %q, it was %q", k, v, attributes[k])
			}
		}
	})
}

func FuzzDecodeData(f *testing.F) {
	all := events.Catalogue()
	for i, typ := range all {
		e, _ := read[events.Envelope](f, typ.Name, "full.json")
		f.Add(uint8(i), []byte(e.Data))
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		typ := all[int(i)%len(all)]
		d, err := events.DecodeData(events.Envelope{Header: events.Header{Type: typ.Name}, Data: data})
		if err != nil {
			return
		}
		_, _ = d.EventSubject(), d.Validate()
		if a, ok := d.(events.Attributed); ok {
			a.Attributes()
		}
		if o, ok := d.(events.Originated); ok {
			if _, cause := o.Origin(); len(cause) != 32 {
				t.Fatalf("%q is no cause", cause)
			}
		}
		if d.Validate() != nil {
			return
		}
		if _, err := json.Marshal(d); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}

func BenchmarkDecodeData(b *testing.B) {
	e, _ := read[events.Envelope](b, "dev.millrace.model.approved.v1", "full.json")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.DecodeData(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalEnvelope(b *testing.B) {
	e, _ := read[events.Envelope](b, "dev.millrace.model.approved.v1", "full.json")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(e); err != nil {
			b.Fatal(err)
		}
	}
}
