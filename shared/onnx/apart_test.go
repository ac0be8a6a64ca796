package onnx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/shared/apart"
)

func TestMain(m *testing.M) {
	if code, was := apart.Main(ProbeTask, ScoreTask); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func TestProbeApart(t *testing.T) {
	loadLibrary(t)
	all := readGolden(t)
	command, err := ProbeTask.Command()
	if err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path     string
		contract Contract
		want     string // "" if it passes
	}{
		"a good model":                   {"testdata/lightgbm.onnx", all["lightgbm"].contract(), ""},
		"external data":                  {"testdata/external.onnx", all["external"].contract(), ""},
		"garbage":                        {garbage, all["matrix"].contract(), "it is not an ONNX model"},
		"another contract":               {"testdata/lightgbm.onnx", all["matrix"].contract(), "feature age (float) has no input"},
		"a model that kills its process": {"testdata/deadly.onnx", all["matrix"].contract(), "it brings ONNX Runtime down (exit status 2; SIGSEGV: segmentation violation): the file is damaged"},
		"a model that wants all memory":  {"testdata/greedy.onnx", floats(Regression, "x"), "greedy.onnx: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ProbeApart(t.Context(), command, test.path, test.contract, nil)
			_, refused := errors.AsType[*RefusedError](err)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!refused || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path)):
				t.Errorf("error is %v, want a refusal with %q", err, test.want)
			}
		})
	}
	t.Run("a model that never ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := ProbeApart(ctx, command, "testdata/endless.onnx", floats(Regression, "x"), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("another program", func(t *testing.T) {
		for _, command := range [][]string{nil, {"/nowhere/millrace"}, {"true"}, {"echo", "{}"}, {"sh", "-c", "echo unknown command >&2; exit 2"}} {
			_, err := ProbeApart(t.Context(), command, "testdata/iris.onnx", all["iris"].contract(), nil)
			if _, refused := errors.AsType[*RefusedError](err); err == nil || refused {
				t.Errorf("%v: error is %v, want one that is no refusal", command, err)
			}
		}
	})
}
