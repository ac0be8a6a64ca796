package onnx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// probeArgument makes the test program the other end of ProbeApart.
const probeArgument = "probe-model"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == probeArgument {
		if err := ServeProbe(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestProbeApart(t *testing.T) {
	loadLibrary(t)
	all := readGolden(t)
	command := []string{os.Args[0], probeArgument}
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
		"garbage":                        {garbage, all["matrix"].contract(), "this is no ONNX model"},
		"another contract":               {"testdata/lightgbm.onnx", all["matrix"].contract(), "feature age (float) has no input"},
		"a model that kills its process": {"testdata/deadly.onnx", all["matrix"].contract(), "it brings ONNX Runtime down (exit status 2; SIGSEGV: segmentation violation): the file is damaged"},
		"a model that wants all memory":  {"testdata/greedy.onnx", floats(Regression, "x"), "greedy.onnx: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := ProbeApart(t.Context(), command, test.path, test.contract)
			var refused *RefusedError
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path)):
				t.Errorf("error is %v, want a refusal with %q", err, test.want)
			}
		})
	}
	t.Run("a model that never ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err := ProbeApart(ctx, command, "testdata/endless.onnx", floats(Regression, "x"))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("another program", func(t *testing.T) {
		for _, command := range [][]string{nil, {"/nowhere/millrace"}, {"true"}, {"echo", "{}"}, {"sh", "-c", "echo unknown command >&2; exit 2"}} {
			err := ProbeApart(t.Context(), command, "testdata/iris.onnx", all["iris"].contract())
			if err == nil || errors.As(err, new(*RefusedError)) {
				t.Errorf("%v: error is %v, want one that is no refusal", command, err)
			}
		}
	})
}
