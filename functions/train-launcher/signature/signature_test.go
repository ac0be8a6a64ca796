package signature_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/functions/train-launcher/signature"
)

var features = []config.Column{
	{Name: "carrier", Type: config.TypeString}, {Name: "hour", Type: config.TypeInt}, {Name: "distance", Type: config.TypeFloat},
}

func model(name string) string { return filepath.Join("..", "testdata", name) }

func TestReadFile(t *testing.T) {
	s, err := signature.ReadFile(model("external.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	want := signature.Signature{
		Inputs: []signature.Tensor{
			{Name: "carrier", Type: signature.String, Shape: []int64{-1, 1}},
			{Name: "hour", Type: signature.Int64, Shape: []int64{-1, 1}},
			{Name: "distance", Type: signature.Float, Shape: []int64{-1, 1}},
		},
		Outputs:  []signature.Tensor{{Name: "probabilities", Type: signature.Float, Shape: []int64{-1, 2}}},
		External: []string{"external.data"},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestReadRefuses(t *testing.T) {
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
			if _, err := signature.Read(data); !errors.Is(err, signature.ErrNotONNX) {
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

func TestCheck(t *testing.T) {
	column := func(name, columnType string) config.Column { return config.Column{Name: name, Type: columnType} }
	for _, c := range []struct {
		name, file string
		features   []config.Column
		want       []string // parts of the error; none for a good model
	}{
		{name: "the features", file: "model.onnx", features: features},
		{name: "features in another order", file: "model.onnx", features: []config.Column{features[2], features[0], features[1]}},
		{name: "features of no known type", file: "model.onnx", features: []config.Column{column("carrier", ""), column("hour", ""), column("distance", "")}},
		{name: "no features", file: "model.onnx"},
		{name: "a matrix", file: "matrix.onnx", features: []config.Column{column("a", "float"), column("b", "int"), column("c", "bool")}},
		{
			name: "other inputs", file: "other-inputs.onnx", features: features,
			want: []string{
				"input carrier is int64; a feature of type string goes in as string",
				"the feature hour has no input: the model needs one of this name, int64 or float or double of shape [N, 1]",
				`input "altitude" is no feature of the pipeline; its features are carrier, hour, distance`,
			},
		},
		{
			name: "a matrix for strings", file: "matrix.onnx", features: features,
			want: []string{`input "X" is one float matrix, which can't hold the feature carrier of type string`},
		},
		{
			name: "a matrix of another width", file: "matrix.onnx", features: []config.Column{column("a", "float"), column("b", "float")},
			want: []string{`input "X" takes 3 columns; the pipeline has 2 features`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := signature.ReadFile(model(c.file))
			if err != nil {
				t.Fatal(err)
			}
			err = s.Check(c.features)
			if c.want == nil && err != nil {
				t.Fatalf("a good model is refused: %v", err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestCheckShapes(t *testing.T) {
	in := func(shape ...int64) signature.Signature {
		return signature.Signature{
			Inputs:  []signature.Tensor{{Name: "hour", Type: signature.Int64, Shape: shape}},
			Outputs: []signature.Tensor{{Name: "y", Type: signature.Float}},
		}
	}
	hour := []config.Column{{Name: "hour", Type: config.TypeInt}}
	for _, c := range []struct {
		name string
		s    signature.Signature
		want string
	}{
		{"a vector", in(-1), ""},
		{"a column", in(-1, 1), ""},
		{"unknown", in(), ""},
		{"two columns", in(-1, 2), "input hour has the shape [-1 2]; the input of a feature has [N, 1]"},
		{"three dimensions", in(-1, 1, 1), "input hour has the shape"},
		{"fixed rows", in(16, 1), "input hour takes 16 rows and no other number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.s.Check(hour)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"model.onnx", "external.onnx", "matrix.onnx"} {
		data, err := os.ReadFile(model(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(deep(40))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		s, err := signature.Read(data)
		if err == nil {
			_ = s.Check(features) // must not panic
		}
		if !bytes.Equal(data, before) {
			t.Error("reading has changed the model")
		}
	})
}
