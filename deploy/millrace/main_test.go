package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"millrace.dev/deploy/millrace/servers"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/function"
)

// TestMain lets scripts run this very command, and the runner beside it.
func TestMain(m *testing.M) {
	if code, was := apart.Main(up.Tasks...); was {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){
		"millrace": func() { os.Exit(run()) },
		"runner": func() {
			runtime.LockOSThread() // the trainer dies with the thread that started it
			os.Exit(runner.Main(os.Args[1:], os.Stdout, os.Stderr))
		},
		"impatient": func() {
			if os.Args[1] != "up" {
				os.Exit(run()) // the process in which evaluate tries a model
			}
			os.Exit(impatient(os.Args[2:]))
		},
	})
}

// impatient is `millrace up` with functions that give an event up after two
// attempts within a second, for scripts about dead letters.
func impatient(args []string) int {
	o := up.Options{Drain: 20 * time.Second, Logger: slog.New(slog.DiscardHandler), Retry: function.Retry{Attempts: 2, First: 50 * time.Millisecond, Max: time.Second}}
	f := flag.NewFlagSet("impatient", flag.ExitOnError)
	f.StringVar(&o.Dir, "dir", "", "")
	f.StringVar(&o.Listen, "listen", "", "")
	f.Func("pipelines", "", func(folder string) error { o.Pipelines = append(o.Pipelines, folder); return nil })
	_ = f.Parse(args) // exits on an error
	o.Started = func(url string) {
		if _, err := servers.Register(url, filepath.Join(o.Dir, up.TokenFile)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		fmt.Println("millrace is up at", url, "with two attempts")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := up.Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestScripts plays transcripts of the command, most of them against a system
// in a process of its own: real NATS, DuckDB and ONNX Runtime.
func TestScripts(t *testing.T) {
	models, err := filepath.Abs("../../functions/evaluate/testdata")
	if err != nil {
		t.Fatal(err)
	}
	library := os.Getenv("MILLRACE_ONNXRUNTIME")
	if library == "" {
		found, err := filepath.Glob("../../bin/lib/libonnxruntime.*")
		if err != nil || len(found) == 0 {
			t.Fatal("there is no ONNX Runtime in bin/lib: make onnxruntime")
		}
		if library, err = filepath.Abs(found[0]); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models)
			e.Setenv("MILLRACE_ONNXRUNTIME", library)
			e.Setenv("NO_COLOR", "1")
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache") // where systems note their tokens
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("MILLRACE_TRAIN_POLL", "20ms")
			e.Setenv("MILLRACE_INFERENCE_LOG_EVERY", "100ms")
			e.Setenv("MILLRACE_INFERENCE_LOG_EVERY_CANARY", "100ms")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"system": system},
	})
}

// system starts a system over the pipelines in the given folders, or over none,
// which ends with the script. It sets MILLRACE_SERVER. SYSTEM names another
// program than millrace.
func system(ts *testscript.TestScript, neg bool, folders []string) {
	if neg {
		ts.Fatalf("usage: system [PIPELINES...]")
	}
	dir := ts.MkAbs("system" + strings.Join(folders, "-"))
	args := []string{"up", "--dir", dir, "--listen", "127.0.0.1:0"}
	for _, f := range folders {
		args = append(args, "--pipelines", ts.MkAbs(f))
	}
	program, err := exec.LookPath(cmp.Or(ts.Getenv("SYSTEM"), "millrace"))
	ts.Check(err)
	up := exec.Command(program, args...)
	up.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR", "MILLRACE_ONNXRUNTIME", "MILLRACE_TRAIN_POLL", "MILLRACE_INFERENCE_LOG_EVERY", "MILLRACE_INFERENCE_LOG_EVERY_CANARY"} {
		up.Env = append(up.Env, name+"="+ts.Getenv(name))
	}
	log, err := os.Create(dir + ".log")
	ts.Check(err)
	up.Stderr = log
	out, err := up.StdoutPipe()
	ts.Check(err)
	ts.Check(up.Start())
	ts.Defer(func() {
		_ = up.Process.Signal(syscall.SIGTERM)
		if err := up.Wait(); err != nil {
			ts.Logf("the system: %v", err)
		}
		log.Close()
		if b, err := os.ReadFile(log.Name()); err == nil && len(b) > 0 {
			ts.Logf("the system's log:\n%s", b)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "millrace is up at "); ok {
			address, _, _ = strings.Cut(address, " ")
			ts.Setenv("MILLRACE_SERVER", address)
			return
		}
	}
	said, _ := os.ReadFile(log.Name())
	ts.Fatalf("the system did not start: %s", fmt.Sprint(lines.Err(), string(said)))
}
