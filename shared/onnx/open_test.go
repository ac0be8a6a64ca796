package onnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"millrace.dev/shared/onnxfile"
)

func TestOpenRefuses(t *testing.T) {
	loadLibrary(t)
	good, err := os.ReadFile("testdata/lightgbm.onnx")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"an empty file":       {nil, "the file is empty"},
		"text":                {[]byte("this is a text, and a long one, that nobody should take for a model\n"), "it is not an ONNX model"},
		"a picture":           {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "it is not an ONNX model"},
		"zeroes":              {make([]byte, 1000), "it is not an ONNX model"},
		"no graph":            {[]byte{8, 9}, "it is not an ONNX model: it has no graph"},
		"half a file":         {good[:len(good)/2], "it is not an ONNX model"},
		"an empty graph":      {[]byte{8, 9, 58, 0}, "ONNX Runtime refuses it"},
		"graphs within":       {nested(1000), "nested too deeply"},
		"an unknown operator": {bytes.ReplaceAll(good, []byte("TreeEnsembleClassifier"), []byte("TreeEnsembleClassifies")), "ONNX Runtime refuses it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.onnx")
			if err := os.WriteFile(path, test.data, 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := Open(path, Options{})
			if err == nil {
				_ = m.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want the path and %q", err, test.want)
			}
		})
	}
	t.Run("a missing file", func(t *testing.T) {
		if _, err := Open(filepath.Join(t.TempDir(), "model.onnx"), Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a folder", func(t *testing.T) {
		if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "not an ordinary file") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("threads below zero", func(t *testing.T) {
		if _, err := Open("testdata/iris.onnx", Options{Threads: -1}); err == nil || !strings.Contains(err.Error(), "threads is -1") {
			t.Errorf("error is %v", err)
		}
	})
}

// field is a protocol buffer field with bytes in it.
func field(num int, b []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(num)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}

// nested is a model of graphs within attributes of nodes, depth deep.
func nested(depth int) []byte {
	var graph []byte
	for range depth {
		graph = field(1, field(5, field(6, graph)))
	}
	return field(7, graph)
}

// withExternal is a model of one tensor in another file.
func withExternal(entries ...string) []byte {
	tensor := append(field(8, []byte("w")), 14<<3, 1)
	for i := 0; i < len(entries); i += 2 {
		tensor = append(tensor, field(13, append(field(1, []byte(entries[i])), field(2, []byte(entries[i+1]))...))...)
	}
	return field(7, field(5, tensor))
}

func TestOpenKeepsToTheModelsFolder(t *testing.T) {
	loadLibrary(t)
	root := t.TempDir()
	folder := filepath.Join(root, "model")
	for path, data := range map[string]string{"secret": "12345678", "model/small": "1234", "model/sub/weights": "12345678", "model/*/_ORT_MEM_ADDR_/*": "12345678"} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Symlink("../secret", filepath.Join(folder, "link")), os.Symlink("..", filepath.Join(folder, "up")),
		os.Symlink("sub/weights", filepath.Join(folder, "inside")))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		entries []string
		want    string
	}{
		"up":                  {[]string{"location", "../secret"}, `external data "../secret" leaves the model's folder`},
		"down and up":         {[]string{"location", "sub/../../secret"}, "leaves the model's folder"},
		"absolute":            {[]string{"location", filepath.Join(root, "secret")}, "leaves the model's folder"},
		"empty":               {[]string{"location", "", "offset", "0"}, "leaves the model's folder"},
		"an address":          {[]string{"location", "*/_ORT_MEM_ADDR_/*", "offset", "140000000000", "length", "8"}, "leaves the model's folder"},
		"by a link":           {[]string{"location", "link"}, "is a link that leaves the model's folder"},
		"by a linked folder":  {[]string{"location", "up/secret"}, "is a link that leaves the model's folder"},
		"the second location": {[]string{"location", "small", "location", "../secret"}, "leaves the model's folder"},
		"missing":             {[]string{"location", "weights.bin"}, `external data "weights.bin" is missing`},
		"a folder":            {[]string{"location", "sub"}, "is not an ordinary file"},
		"too short":           {[]string{"location", "small", "offset", "0", "length", "8"}, `has 4 bytes, but tensor "w" is said to be 8 bytes from byte 0`},
		"beyond the end":      {[]string{"location", "small", "offset", "9223372036854775807", "length", "8"}, "has 4 bytes"},
		"no number":           {[]string{"location", "small", "offset", "-1"}, "which are not numbers"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, "model.onnx")
			if err := os.WriteFile(path, withExternal(test.entries...), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := Open(path, Options{})
			if err == nil {
				_ = m.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
	t.Run("inside", func(t *testing.T) {
		for _, location := range []string{"small", "sub/weights", "inside"} {
			g, err := onnxfile.Read(withExternal("location", location))
			if err != nil {
				t.Fatal(err)
			}
			if err := checkExternal(folder, g.External); err != nil {
				t.Errorf("%s: %v", location, err)
			}
		}
	})
}

func TestInitIsDoneOnce(t *testing.T) {
	loadLibrary(t)
	loadLibrary(t)
	if err := Init("/nowhere/libonnxruntime.so"); err == nil || !strings.Contains(err.Error(), "has loaded it from") {
		t.Errorf("another library: error is %v", err)
	}
	if v := Version(); !strings.HasPrefix(v, "1.") {
		t.Errorf("version is %q", v)
	}
}

func TestOpenAndCloseKeepsMemoryBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	g := readGolden(t)["lightgbm"]
	b := repeat(g.batch(t), 500)
	round := func(n int) {
		for range n {
			loadLibrary(t)
			m, err := Open("testdata/lightgbm.onnx", Options{Labels: true})
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Probe(t.Context(), g.contract(), nil)
			err = errors.Join(err, m.Score(t.Context(), b, &Scores{}), m.Close())
			if err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
	}
	round(40)
	before := residentBytes(t)
	round(160)
	if grown := residentBytes(t) - before; grown > 16<<20 {
		t.Errorf("160 models opened and closed left %d KiB", grown>>10)
	} else {
		t.Logf("160 models opened and closed left %d KiB", grown>>10)
	}
}

func residentBytes(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// FuzzOpen looks for a file that brings the process down, or that Open takes and Check or Probe then trip over.
func FuzzOpen(f *testing.F) {
	loadLibrary(f)
	for _, name := range []string{"logistic", "matrix64", "iris", "vectors", "external", "zipmap", "number-labels"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".onnx"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	contract := readGolden(f)["logistic"].contract()
	path := filepath.Join(f.TempDir(), "model.onnx")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := Open(path, Options{})
		if err != nil {
			return
		}
		_, _ = m.Probe(t.Context(), contract, nil)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}
