package inference

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// labelled is flights with labels.
func labelled(labels string) string {
	return strings.Replace(flights, "  data:\n", "  data:\n    labels: "+labels+"\n", 1)
}

func (w *env) uploads(pipeline string) (all []events.ObjectUploaded) {
	w.t.Helper()
	for _, e := range w.Events(w.t, pipeline, events.ObjectUploaded{}.EventType()) {
		all = append(all, functiontest.Data[events.ObjectUploaded](w.t, e))
	}
	return all
}

func (w *env) uploaded(pipeline string, n int) []events.ObjectUploaded {
	w.t.Helper()
	w.until("the labels are an upload", func() error {
		if len(w.uploads(pipeline)) < n {
			return errors.New("they are not")
		}
		return nil
	})
	return w.uploads(pipeline)
}

func (w *env) serveLabelled(labels string) {
	w.t.Helper()
	w.ConfigureYAML(w.t, labelled(labels))
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
}

const feedbackPath = "/v2/models/flights/feedback"

func TestFeedback(t *testing.T) {
	w := newWorld(t)
	w.serveLabelled(`{uploads: ["flights-labels/*.jsonl"], key: [request_id, row]}`)
	a := w.ask("POST", feedbackPath, []byte(`{"labels":[{"request_id":"a","row":0,"label":true},{"row":1,"request_id":"a","late":false}]}`))
	if a.Code != 202 || a.Raw != "{\"labels\":2}\n" {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	if a := w.ask("POST", feedbackPath, []byte(`{"labels":{"request_id":["b"],"row":[3],"label":[true]}}`)); a.Code != 202 {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	w.stop()
	var lines []byte
	for _, u := range w.uploads("flights") {
		if !w.State(t, "flights").Config.WantsLabels("", u.Key) || u.Size != u.Content.Size {
			t.Errorf("%+v", u)
		}
		raw, err := w.Artifacts.Bytes(t.Context(), u.Content, 1<<20)
		must(t, err)
		lines = append(lines, raw...)
	}
	want := `{"late":true,"request_id":"a","row":0}
{"late":false,"request_id":"a","row":1}
{"late":true,"request_id":"b","row":3}
`
	if string(lines) != want {
		t.Errorf("%s", lines)
	}
}

func TestFeedbackAsParquet(t *testing.T) {
	w := newWorld(t)
	w.serveLabelled(`{uploads: ["s3://elsewhere/*.jsonl", "x/**/*.csv", "x/**/labels-*.parquet"], key: [flight, hour]}`)
	if a := w.ask("POST", feedbackPath, []byte(`{"labels":[{"flight":17,"hour":5,"label":true}]}`)); a.Code != 202 {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	u := w.uploaded("flights", 1)[0]
	if !strings.HasPrefix(u.Key, "x/labels-feedback-flights.") || !strings.HasSuffix(u.Key, ".parquet") {
		t.Errorf("key %s", u.Key)
	}
	path, err := w.Artifacts.Path(t.Context(), u.Content)
	must(t, err)
	r, err := table.Open(path, nil)
	must(t, err)
	b, err := r.Next(10)
	must(t, err)
	if b.Rows != 1 || b.Schema.String() != (table.Schema{{Name: "flight", Type: table.Int}, {Name: "hour", Type: table.Int}, {Name: "late", Type: table.Bool}}).String() ||
		b.Columns[0].Ints[0] != 17 || !b.Columns[2].Bools[0] {
		t.Errorf("%v %+v", b.Schema, b.Columns)
	}
}

// TestFeedbackOutlivesTheProcess ends it before the labels are an upload, in
// the middle of a line whose sender had no answer.
func TestFeedbackOutlivesTheProcess(t *testing.T) {
	w := newWorld(t)
	w.cfg.LogEvery = time.Hour
	w.ConfigureYAML(t, labelled(`{uploads: ["flights-labels/*.jsonl"], key: [request_id, row]}`))
	w.promote("flights", w.register("flights", "lightgbm"))
	deps := w.Deps(t, Name)
	w.startIn(deps)
	w.until("the function is ready", func() error { return w.f.Ready(t.Context()) })
	if a := w.ask("POST", feedbackPath, []byte(`{"labels":[{"request_id":"a","row":0,"label":true}]}`)); a.Code != 202 {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	w.web.Close()
	w.f.end() // as if killed: nothing is drained
	w.f.tasks.Wait()
	w.f = nil
	left, err := filepath.Glob(filepath.Join(deps.Dir, "labels", "*"+".labels"))
	must(t, err)
	if len(left) != 1 {
		t.Fatalf("%v", left)
	}
	file, err := os.OpenFile(left[0], os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteString(`{"request_id":"b","ro`)
	must(t, errors.Join(err, file.Close()))

	next := w.Deps(t, Name)
	next.Dir = deps.Dir
	w.startIn(next)
	u := w.uploaded("flights", 1)[0]
	raw, err := w.Artifacts.Bytes(t.Context(), u.Content, 1<<20)
	must(t, err)
	if string(raw) != `{"late":true,"request_id":"a","row":0}`+"\n" {
		t.Errorf("%s", raw)
	}
	// The same file once more, as if the process had died before removing it.
	must(t, os.WriteFile(left[0], raw, 0o600))
	w.f.labels.Drain(t.Context())
	if n := len(w.uploads("flights")); n != 1 {
		t.Errorf("%d uploads", n)
	}
}

func TestFeedbackMistakes(t *testing.T) {
	w := newWorld(t)
	w.serveLabelled(`{uploads: ["flights-labels/*.jsonl"], key: [request_id, row]}`)
	for name, c := range map[string]struct {
		body string
		code int
		want string
	}{
		"not JSON":   {"x", 400, "the body cannot be read as JSON"},
		"no labels":  {"{}", 400, "labels is missing: a list of objects"},
		"empty":      {`{"labels":[]}`, 400, "labels is missing"},
		"no key":     {`{"labels":[{"label":true}]}`, 400, "label 0: request_id is missing\nrow is missing"},
		"type":       {`{"labels":[{"request_id":"a","row":0,"label":"yes"}]}`, 400, "label 0: late: yes is neither true nor false"},
		"unknown":    {`{"labels":[{"request_id":"a","row":0,"labl":true}]}`, 400, `label 0: "labl" is neither in the key nor the label; a label has request_id, row, late`},
		"twice":      {`{"labels":[{"request_id":"a","row":0,"label":true,"late":true}]}`, 400, "it has label and late, which are the same"},
		"lengths":    {`{"labels":{"request_id":["a"],"row":[0,1],"label":[true]}}`, 400, "the columns have different numbers of values"},
		"many":       {`{"labels":{"request_id":[` + strings.Repeat(`"a",`, 10_000) + `"a"]}}`, 413, "more than 10000 rows"},
		"too large":  {strings.Repeat(" ", 9<<20), 413, "the body has more than"},
		"fraction":   {`{"labels":[{"request_id":"a","row":0.5,"label":true}]}`, 400, "row: 0.5 is not a whole number"},
		"numeric id": {`{"labels":[{"request_id":5,"row":0,"label":true}]}`, 400, "request_id: 5 is not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.ask("POST", feedbackPath, []byte(c.body)); a.Code != c.code || !strings.Contains(a.Error, c.want) {
				t.Errorf("%d %s\nwant %d %s", a.Code, a.Raw, c.code, c.want)
			}
		})
	}
	t.Run("full", func(t *testing.T) {
		w := newWorld(t)
		w.cfg.LogDiskBytes = 1
		w.serveLabelled(`{uploads: ["flights-labels/*.jsonl"], key: [request_id, row]}`)
		if a := w.ask("POST", feedbackPath, []byte(`{"labels":[{"request_id":"a","row":0,"label":true}]}`)); a.Code != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s", a.Code, a.Raw)
		}
	})
	t.Run("no labels section", func(t *testing.T) {
		w, _ := servedFlights(t)
		if a := w.ask("POST", feedbackPath, []byte(`{"labels":[{"request_id":"a","row":0,"label":true}]}`)); a.Code != 409 ||
			!strings.Contains(a.Error, `Its pipeline file needs data.labels, such as labels: {uploads: ["flights-labels/*.jsonl"], key: [request_id, row]}`) {
			t.Errorf("%d %s", a.Code, a.Raw)
		}
	})
}
