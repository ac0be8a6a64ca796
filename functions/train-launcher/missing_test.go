package trainlauncher_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

const penguinsYAML = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data:
    uploads: ["flights/*.parquet"]
    holdout: {fraction: 0.3, by: random}
    columns:
      sex: {type: string, nulls: 0.5}
      island: {type: string, nulls: 0.5}
      diet: {type: string, nulls: 0.5}
      note: {type: string, nulls: 0.5}
      species: {type: string}
  model: {task: binary_classification, label: species, features: [sex, island, diet], missing: {island: unknown, diet: nan}}
  train: {command: [sh, train.sh], retries: 0}
`

// The trainer reads a missing string as the model gets it: an empty text, another
// text, or null. The hold-out and the profile keep it as missing, and so do
// columns that are no features.
func TestMissingStrings(t *testing.T) {
	t.Parallel()
	schema := table.Schema{
		{Name: "sex", Type: table.String}, {Name: "island", Type: table.String}, {Name: "diet", Type: table.String},
		{Name: "note", Type: table.String}, {Name: "species", Type: table.String},
	}
	b := &table.Batch{Schema: schema, Columns: make([]table.Vector, len(schema)), Rows: 300}
	for c := range b.Columns {
		v := &b.Columns[c]
		for i := range b.Rows {
			text, null := []string{"a", "b"}[i/3%2], i%3 == 0 && c < 4
			if null {
				text = ""
			}
			v.Strings, v.Nulls = append(v.Strings, text), append(v.Nulls, null)
		}
	}
	s := &env{Env: functiontest.New(t), t: t, cfg: quick()}
	s.dir = s.ConfigureYAML(t, penguinsYAML, [2]string{"train.sh", "exit 1"}).Dir
	path := filepath.Join(t.TempDir(), "p.parquet")
	w, err := table.Create(path, schema)
	must(t, err)
	must(t, w.Write(b))
	must(t, w.Close())
	s.admit(path, b.Rows)
	s.run()
	start := await[events.TrainingStarted](s, nil).Data

	var files []events.File
	must(t, json.Unmarshal([]byte(s.text(start.Train)), &files))
	for name, want := range map[string]string{"sex": "a,b,", "island": "a,b,unknown", "diet": "a,b,null", "note": "a,b,null", "species": "a,b"} {
		if got := s.values(files[0].Ref, name); got != want {
			t.Errorf("the trainer reads %s as %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"sex": "a,b,null", "island": "a,b,null", "diet": "a,b,null"} {
		if got := s.values(start.Holdout, name); got != want {
			t.Errorf("the hold-out has %s as %q, want %q", name, got, want)
		}
	}
	var p table.Profile
	must(t, p.UnmarshalBinary([]byte(s.text(start.Profile))))
	for _, name := range []string{"sex", "island", "diet"} {
		if c := p.Column(name); c.Nulls == 0 || c.Count+c.Nulls != start.TrainRows {
			t.Errorf("the profile has %d of %d values of %s missing", c.Nulls, start.TrainRows, name)
		}
	}
}

// values are the different values of a column of text.
func (s *env) values(ref events.Ref, column string) string {
	s.t.Helper()
	path, err := s.Artifacts.Path(functiontest.Context(s.t), ref)
	must(s.t, err)
	r, err := table.Open(path, []string{column})
	must(s.t, err)
	defer r.Close()
	b, err := r.Next(1000)
	must(s.t, err)
	var all []string
	for i, text := range b.Columns[0].Strings {
		if b.Columns[0].Null(i) {
			text = "null"
		}
		all = append(all, text)
	}
	slices.SortFunc(all, func(a, b string) int { // the empty text last
		if (a == "") != (b == "") {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return strings.Join(slices.Compact(all), ",")
}
