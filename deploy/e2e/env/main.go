// Package env starts systems for whole-chain tests, in this process or as the
// real program, and lets a test ask and follow them by HTTP.
package env

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"millrace.dev/deploy/millrace/up"
	"millrace.dev/shared/apart"
)

// Main is the TestMain of a package that runs systems in its own process. It
// probes models when it is started for that, sets what a laptop's installation
// would set, and runs the tests.
func Main(m *testing.M) int {
	if code, was := apart.Main(up.Tasks...); was {
		return code
	}
	dir, err := os.MkdirTemp("", "millrace-e2e-*")
	if err == nil {
		defer os.RemoveAll(dir)
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: error:", err)
		return 1
	}
	return m.Run()
}

func prepare(dir string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	runner := filepath.Join(dir, "runner")
	temp := filepath.Join(dir, "tmp")
	if err := errors.Join(os.Mkdir(temp, 0o700), build(root, dir, "0", "functions/train-launcher/cmd/runner")); err != nil {
		return err
	}
	settings := map[string]string{
		// Apart from what other programs leave in the machine's own.
		"TMPDIR":          temp,
		"MILLRACE_RUNNER": runner,
		// Tests wait for these.
		"MILLRACE_INFERENCE_LOG_EVERY":        "300ms",
		"MILLRACE_INFERENCE_LOG_EVERY_CANARY": "100ms",
		"MILLRACE_TRAIN_BACKOFF":              "100ms",
		"MILLRACE_TRAIN_GRACE":                "1s",
		"MILLRACE_TRAIN_POLL":                 "50ms",
	}
	if os.Getenv("MILLRACE_ONNXRUNTIME") == "" {
		name := "libonnxruntime.so"
		if runtime.GOOS == "darwin" {
			name = "libonnxruntime.dylib"
		}
		if lib := filepath.Join(root, "bin", "lib", name); exists(lib) {
			settings["MILLRACE_ONNXRUNTIME"] = lib
		}
	}
	for name, v := range settings {
		err = errors.Join(err, os.Setenv(name, v))
	}
	return err
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// Root is the folder of the repository.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; !exists(filepath.Join(dir, "go.work")); dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return "", errors.New("the tests are not in the repository: no folder above has a go.work")
		}
	}
	return dir, nil
}

// Build returns the path of the command millrace as it is shipped. It is built
// once for all tests of a package, among the temporary files of Main.
func Build(t testing.TB) string {
	t.Helper()
	program, err := millrace()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var millrace = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "program-*")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "millrace"), build(root, dir, "1", "deploy/millrace")
})

// BuildWith builds the command millrace with more arguments of go build than it
// is shipped with.
func BuildWith(t testing.TB, args ...string) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := build(root, dir, "1", "deploy/millrace", args...); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "millrace")
}

func build(root, to, cgo, command string, args ...string) error {
	args = slices.Concat([]string{"build", "-o", to + string(filepath.Separator)}, args, []string{"./" + command})
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", command, err, out)
	}
	return nil
}
