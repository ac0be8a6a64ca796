package signature_test

import (
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/functions/train-launcher/signature"
	"millrace.dev/shared/onnxfile"
)

var features = []config.Column{
	{Name: "carrier", Type: config.TypeString}, {Name: "hour", Type: config.TypeInt}, {Name: "distance", Type: config.TypeFloat},
}

func model(name string) string { return filepath.Join("..", "testdata", name) }

func TestCheck(t *testing.T) {
	t.Parallel()
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
				`input "altitude" is not a feature of the pipeline; its features are carrier, hour, distance`,
			},
		},
		{
			name: "a matrix for strings", file: "matrix.onnx", features: features,
			want: []string{`input "X" is one float matrix, which cannot hold the feature carrier of type string`},
		},
		{
			name: "a matrix of another width", file: "matrix.onnx", features: []config.Column{column("a", "float"), column("b", "float")},
			want: []string{`input "X" takes 3 columns; the pipeline has 2 features`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := onnxfile.ReadFile(model(c.file))
			if err != nil {
				t.Fatal(err)
			}
			err = signature.Check(s, c.features)
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

// TestCheckTakesExports proves that what exporters write by default is taken
// here as by package onnx, whose tests run the same files.
func TestCheckTakesExports(t *testing.T) {
	t.Parallel()
	a, b := config.Column{Name: "a", Type: config.TypeFloat}, config.Column{Name: "b", Type: config.TypeFloat}
	for name, features := range map[string][]config.Column{
		"catboost-regressor": {a, b}, "catboost-binary": {a, b}, "catboost-357": {a, b}, "tree-357": {a, b},
		"one-hot": {{Name: "city", Type: config.TypeString}, {Name: "mean income", Type: config.TypeFloat}},
	} {
		s, err := onnxfile.ReadFile(filepath.Join("..", "..", "..", "shared", "onnx", "testdata", "exports", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if err := signature.Check(s, features); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckSaysWhyARenamedInputIsNotTaken(t *testing.T) {
	t.Parallel()
	s := &onnxfile.File{
		Inputs:  []onnxfile.Tensor{{Name: "mean_radius", Type: onnxfile.Float}, {Name: "mean_radius1", Type: onnxfile.String}},
		Outputs: []onnxfile.Tensor{{Name: "y", Type: onnxfile.Float}},
	}
	err := signature.Check(s, []config.Column{{Name: "mean radius", Type: config.TypeFloat}, {Name: "mean.radius", Type: config.TypeString}})
	if err == nil {
		t.Fatal("an input of two features is taken")
	}
	for _, want := range []string{"the feature mean radius has no input", "input mean_radius could be each of mean radius, mean.radius"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

func TestCheckShapes(t *testing.T) {
	t.Parallel()
	in := func(shape ...int64) onnxfile.File {
		return onnxfile.File{
			Inputs:  []onnxfile.Tensor{{Name: "hour", Type: onnxfile.Int64, Shape: shape}},
			Outputs: []onnxfile.Tensor{{Name: "y", Type: onnxfile.Float}},
		}
	}
	hour := []config.Column{{Name: "hour", Type: config.TypeInt}}
	for _, c := range []struct {
		name string
		s    onnxfile.File
		want string
	}{
		{"a vector", in(-1), ""},
		{"a column", in(-1, 1), ""},
		{"unknown", in(), ""},
		{"two columns", in(-1, 2), "input hour has the shape [-1 2]; the input of a feature has [N, 1]"},
		{"three dimensions", in(-1, 1, 1), "input hour has the shape"},
		{"fixed rows", in(16, 1), ""},
		{"many fixed rows", in(5000, 1), "input hour takes 5000 rows and no other number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := signature.Check(&c.s, hour)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
