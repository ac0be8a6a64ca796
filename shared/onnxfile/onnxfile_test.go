package onnxfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace.dev/shared/onnxfile"
)

func model(name string) string { return filepath.Join("testdata", name) }

func TestReadFile(t *testing.T) {
	t.Parallel()
	s, err := onnxfile.ReadFile("testdata/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	want := &onnxfile.File{
		Inputs: []onnxfile.Tensor{
			{Name: "carrier", Type: onnxfile.String, Shape: []int64{-1, 1}},
			{Name: "hour", Type: onnxfile.Int64, Shape: []int64{-1, 1}},
			{Name: "distance", Type: onnxfile.Float, Shape: []int64{-1, 1}},
		},
		Outputs:  []onnxfile.Tensor{{Name: "probabilities", Type: onnxfile.Float, Shape: []int64{-1, 2}}},
		External: []onnxfile.External{{Tensor: "w", Location: "external.data", Offset: "0", Length: "8"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestRunnable(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "onnx", "testdata", "exports", "catboost-words.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := onnxfile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"high", "low", "mid"}; !reflect.DeepEqual(f.Classes(), want) {
		t.Errorf("its classes are %v, want %v", f.Classes(), want)
	}
	maps := f.Outputs[1]
	if len(f.ZipMaps) != 1 || maps.Datatype() != "FP32" || !reflect.DeepEqual(maps.Shape, []int64{-1, 3}) {
		t.Fatalf("ZipMaps are %v, and the output %v", f.ZipMaps, maps)
	}
	runnable, err := f.Runnable(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := onnxfile.Read(runnable)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.ZipMaps) != 0 || len(again.Outputs) != 2 {
		t.Fatalf("ZipMaps are %v, and the outputs %v", again.ZipMaps, again.Outputs)
	}
	for i, out := range again.Outputs {
		if out.Name != f.Outputs[i].Name || out.Type != f.Outputs[i].Type || out.Shape != nil {
			t.Errorf("output %d is %v, want %v without a shape", i, out, f.Outputs[i])
		}
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	output := func(width int64) []onnxfile.Tensor {
		return []onnxfile.Tensor{{Name: "label", Type: onnxfile.Int64, Shape: []int64{-1}}, {Name: "p", Type: onnxfile.Float, Shape: []int64{-1, width}}}
	}
	two, three := []string{"0", "1"}, []string{"3", "5", "7"}
	for name, c := range map[string]struct {
		file onnxfile.File
		want []string
	}{
		"one classifier":                        {onnxfile.File{Outputs: output(3), ClassLists: [][]string{three}}, three},
		"one against the rest":                  {onnxfile.File{Outputs: output(3), ClassLists: [][]string{two, two, two}}, nil},
		"a stack":                               {onnxfile.File{Outputs: output(3), ClassLists: [][]string{two, three, three}}, three},
		"classifiers of different classes":      {onnxfile.File{Outputs: output(2), ClassLists: [][]string{two, {"no", "yes"}}}, nil},
		"a ZipMap names what they number":       {onnxfile.File{Outputs: output(3), ClassLists: [][]string{two, three}, ZipMaps: []onnxfile.ZipMap{{Classes: three}}}, three},
		"the width of the output is not stated": {onnxfile.File{Outputs: output(-1), ClassLists: [][]string{three}}, three},
		"no classifier":                         {onnxfile.File{Outputs: output(1)}, nil},
	} {
		if got := c.file.Classes(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestMatchInputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		inputs, features []string
		want             []int
		why              string // of the first feature that is not matched
	}{
		{[]string{"b", "a"}, []string{"a", "b"}, []int{1, 0}, ""},
		{[]string{"mean_radius", "Solar_R", "_2019", "Größe"}, []string{"Solar.R", "mean radius", "2019", "Größe"}, []int{1, 0, 2, 3}, ""},
		{[]string{"a_b"}, []string{"a b", "a-b"}, []int{-1, -1}, "input a_b could be each of a b, a-b"},
		{[]string{"a_b", "a_b1"}, []string{"a b", "a_b"}, []int{-1, 0}, "input a_b could be each of a b, a_b"},
		{[]string{"x"}, []string{"a b"}, []int{-1}, ""},
	} {
		places := onnxfile.MatchInputs(c.inputs, c.features)
		if !reflect.DeepEqual(places, c.want) {
			t.Errorf("%v for %v: %v, want %v", c.inputs, c.features, places, c.want)
		}
		if i := slices.Index(places, -1); i >= 0 {
			if why := onnxfile.WhyUnmatched(c.features[i], c.inputs, c.features); !strings.Contains(why, c.why) || (why == "") != (c.why == "") {
				t.Errorf("why %s is not matched: %q, want %q", c.features[i], why, c.why)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(model("model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing":       {},
		"text":          []byte("this is no model, it is a sentence\n"),
		"zip":           []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00"),
		"zeros":         make([]byte, 100),
		"half a model":  whole[:len(whole)/2],
		"without graph": {0x08, 0x0a},
		"a deep model":  deep(1000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := onnxfile.Read(data); !errors.Is(err, onnxfile.ErrNotONNX) {
				t.Errorf("got %v, want ErrNotONNX", err)
			}
		})
	}
}

// deep is a model of graphs within graphs.
func deep(n int) []byte {
	var b []byte
	wrap := func(tag byte, inner []byte) []byte {
		out := []byte{tag}
		for l := len(inner); ; l >>= 7 {
			if l < 128 {
				out = append(out, byte(l))
				break
			}
			out = append(out, byte(l)|0x80)
		}
		return append(out, inner...)
	}
	for range n { // graph: node: attribute: graph
		b = wrap(1<<3|2, wrap(5<<3|2, wrap(6<<3|2, b)))
	}
	return wrap(7<<3|2, b)
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"model.onnx", "external.onnx", "matrix.onnx", "zipmap.onnx"} {
		data, err := os.ReadFile(model(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(deep(40))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		f, err := onnxfile.Read(data)
		if (f == nil) == (err == nil) || err != nil && !errors.Is(err, onnxfile.ErrNotONNX) {
			t.Errorf("read %v, error %v", f, err)
		}
		if !bytes.Equal(data, before) {
			t.Error("reading has changed the model")
		}
		if err != nil {
			return
		}
		runnable, err := f.Runnable(before)
		if err != nil { // in what Read skips
			if !errors.Is(err, onnxfile.ErrNotONNX) {
				t.Error(err)
			}
			return
		}
		if again, err := onnxfile.Read(runnable); err != nil || len(again.Outputs) != len(f.Outputs) {
			t.Errorf("what is to be run has outputs %v, error %v; the model has %v", again, err, f.Outputs)
		}
	})
}
