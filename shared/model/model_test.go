package model_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/model"
	"millrace.dev/shared/onnx"
	"millrace.dev/shared/table"
)

func newStore(t *testing.T) *artifact.Store {
	t.Helper()
	store, err := artifact.OpenStore(t.Context(), "file://"+t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// files puts files into the store, name and content by turns.
func files(t *testing.T, store *artifact.Store, namesAndContents ...string) (m events.Model) {
	t.Helper()
	for i := 0; i < len(namesAndContents); i += 2 {
		ref, err := store.PutBytes(t.Context(), []byte(namesAndContents[i+1]), ".bin")
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, events.File{Name: namesAndContents[i], Ref: ref})
	}
	return m
}

func TestPlace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files []string
		main  string // content of the main file
		want  map[string]string
	}{
		"a single file of any name":       {files: []string{"net.pb", "graph"}, main: "graph"},
		"the file called model.onnx":      {files: []string{"a.onnx", "no", "model.onnx", "yes"}, main: "yes", want: map[string]string{"a.onnx": "no"}},
		"else the first with the suffix":  {files: []string{"readme", "no", "b.onnx", "yes", "c.onnx", "no"}, main: "yes"},
		"external data in a folder of it": {files: []string{"model.onnx", "graph", "data/weights.bin", "weights"}, main: "graph", want: map[string]string{"data/weights.bin": "weights"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			placed, err := model.Place(t.Context(), store, files(t, store, test.files...))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(placed.Path); err != nil || string(got) != test.main {
				t.Errorf("the main file has %q, %v; want %q", got, err, test.main)
			}
			for name, want := range test.want {
				if got, err := os.ReadFile(filepath.Join(filepath.Dir(placed.Path), name)); err != nil || string(got) != want {
					t.Errorf("%s has %q, %v; want %q", name, got, err, want)
				}
			}
			if err := placed.Remove(); err != nil {
				t.Error(err)
			}
			_, err = os.Stat(placed.Path)
			if kept := err == nil; kept != (len(test.files) == 2) {
				t.Errorf("after Remove the file is there: %t", kept)
			}
		})
	}
}

func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	for text, names := range map[string][]string{
		"leads out of the model's folder":             {"model.onnx", "a", "../weights.bin", "b"},
		`"/etc/weights" leads out`:                    {"model.onnx", "a", "/etc/weights", "b"},
		"none of its 2 files is called model.onnx":    {"a.pb", "a", "b.pb", "b"},
		"none of its 0 files is called model.onnx":    nil,
		`the file name "data/../../x" leads out of t`: {"model.onnx", "a", "data/../../x", "b"},
	} {
		store := newStore(t)
		_, err := model.Place(t.Context(), store, files(t, store, names...))
		if _, ok := errors.AsType[*model.UnusableError](err); !ok || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v; want %q", names, err, text)
		}
	}
}

const pipeline = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  data: {columns: {x: {type: float}, s: {type: string, values: [a, b]}, y: {type: int}}}
  model: {task: multiclass_classification, label: y, features: [s, x]}
`

// profiled stores the profile of rows whose label y has these values.
func profiled(t *testing.T, store *artifact.Store, labels ...int64) events.Ref {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.parquet")
	schema := table.Schema{{Name: "y", Type: table.Int}}
	w, err := table.Create(path, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(&table.Batch{Schema: schema, Rows: len(labels), Columns: []table.Vector{{Ints: labels}}}), w.Close()); err != nil {
		t.Fatal(err)
	}
	p, err := table.ProfileFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := store.PutBytes(t.Context(), raw, ".profile")
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func parse(t *testing.T, yaml string) *config.Pipeline {
	t.Helper()
	p, err := config.Parse("pipeline.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestContract(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	seen := profiled(t, store, 7, 3, 5, 3)
	features := []onnx.Feature{
		{Name: "s", Type: onnx.String, Values: []string{"a", "b"}, Required: true}, {Name: "x", Type: onnx.Float, Required: true},
	}
	contract := func(change string, profile events.Ref, own []string) (onnx.Contract, error) {
		yaml := strings.Replace(pipeline, "label: y", "label: y"+change, 1)
		return model.Contract(t.Context(), store, parse(t, yaml), profile, own)
	}
	for name, test := range map[string]struct {
		change  string
		profile events.Ref
		own     []string // the model's classes
		classes []string
	}{
		"the classes of the profile, in order":         {"", seen, nil, []string{"3", "5", "7"}},
		"the classes of the pipeline":                  {", classes: [5, 3, 7]", seen, []string{"3", "5", "7"}, []string{"5", "3", "7"}},
		"no classes without a profile":                 {"", events.Ref{}, nil, []string{}},
		"the classes of the model without a profile":   {"", events.Ref{}, []string{"3", "5", "7"}, []string{"3", "5", "7"}},
		"the classes of the model in its order":        {"", seen, []string{"7", "5", "3"}, []string{"7", "5", "3"}},
		"a model that has not met all classes":         {"", seen, []string{"3", "7"}, []string{"3", "7"}},
		"a model that numbers the profile's classes":   {"", seen, []string{"0", "1", "2"}, []string{"3", "5", "7"}},
		"a model whose classes are numbers from 0":     {"", profiled(t, store, 0, 1, 2, 3), []string{"0", "1", "2"}, []string{"0", "1", "2"}},
		"a model that numbers its classes, no profile": {"", events.Ref{}, []string{"0", "1"}, []string{"0", "1"}},
	} {
		got, err := contract(test.change, test.profile, test.own)
		if err != nil || !reflect.DeepEqual(got.Features, features) || len(got.Classes) != len(test.classes) || len(test.classes) > 0 && !reflect.DeepEqual(got.Classes, test.classes) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
