package onnx

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The tests run real models on the real library; golden.json has what Python's onnxruntime answers for them.

// golden is an entry of testdata/golden.json.
type golden struct {
	Task     string
	Features []Feature
	Classes  []string
	Rows     map[string]json.RawMessage
	Scores   []float64
	Labels   []string
}

func (g golden) contract() Contract {
	return Contract{Task: g.Task, Features: g.Features, Classes: g.Classes}
}

func (g golden) batch(t testing.TB) *Batch {
	t.Helper()
	width := max(1, len(g.Classes))
	b := &Batch{Rows: len(g.Scores) / width}
	for _, f := range g.Features {
		c := Column{Name: f.Name}
		var err error
		switch f.Type {
		case String:
			err = json.Unmarshal(g.Rows[f.Name], &c.Strings)
		case Int, Timestamp:
			err = json.Unmarshal(g.Rows[f.Name], &c.Ints)
		case Bool:
			err = json.Unmarshal(g.Rows[f.Name], &c.Bools)
		case Float:
			var values []*float64
			err = json.Unmarshal(g.Rows[f.Name], &values)
			c.Floats, c.Nulls = make([]float64, len(values)), make([]bool, len(values))
			for i, v := range values {
				if v == nil {
					c.Nulls[i] = true
				} else {
					c.Floats[i] = *v
				}
			}
		}
		if err != nil {
			t.Fatalf("golden column %s: %v", f.Name, err)
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func readGolden(t testing.TB) map[string]golden {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]golden
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// loadLibrary loads ONNX Runtime from where `make build` puts it.
func loadLibrary(t testing.TB) {
	t.Helper()
	path := ""
	if os.Getenv(libraryVariable) == "" {
		name := "libonnxruntime.so"
		if runtime.GOOS == "darwin" {
			name = "libonnxruntime.dylib"
		}
		path = filepath.Join("..", "..", "bin", "lib", name)
	}
	if err := Init(path); err != nil {
		t.Fatalf("%v\nrun `make build`, or shared/onnx/library.sh, which puts the library into bin/lib", err)
	}
}

// openModel opens testdata/<name>.onnx until the test ends.
func openModel(t testing.TB, name string, opts Options) *Model {
	t.Helper()
	loadLibrary(t)
	m, err := Open(filepath.Join("testdata", name+".onnx"), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// openChecked opens a model and checks it against its golden contract.
func openChecked(t testing.TB, name string, opts Options) (*Model, golden) {
	t.Helper()
	m := openModel(t, name, opts)
	g, ok := readGolden(t)[name]
	if !ok {
		t.Fatalf("golden.json has no %s", name)
	}
	if err := m.Check(g.contract()); err != nil {
		t.Fatal(err)
	}
	return m, g
}

// repeat returns a batch of n rows, made of b's over and over.
func repeat(b *Batch, n int) *Batch {
	out := &Batch{Rows: n}
	for _, c := range b.Columns {
		out.Columns = append(out.Columns, Column{
			Name: c.Name, Strings: cycle(c.Strings, n), Ints: cycle(c.Ints, n), Floats: cycle(c.Floats, n),
			Bools: cycle(c.Bools, n), Nulls: cycle(c.Nulls, n),
		})
	}
	return out
}

func cycle[T any](values []T, n int) []T {
	if values == nil {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = values[i%len(values)]
	}
	return out
}
