package apart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// misdeeds are what a process may try.
var misdeeds = map[string]func(of string) error{
	"nothing":            func(string) error { return nil },
	"read its file":      func(of string) error { _, err := os.ReadFile(filepath.Join(of, "own")); return err },
	"write beside it":    func(of string) error { return os.WriteFile(filepath.Join(of, "out"), []byte("x"), 0o600) },
	"read another file":  func(of string) error { _, err := os.ReadFile(filepath.Join(filepath.Dir(of), "other")); return err },
	"read its parent":    func(string) error { _, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", os.Getppid())); return err },
	"write another file": func(of string) error { return os.WriteFile(filepath.Join(filepath.Dir(of), "new"), nil, 0o600) },
	"dial":               func(string) error { _, err := net.Dial("tcp", "127.0.0.1:1"); return err },
	"run a program":      func(string) error { return syscall.Exec("/bin/true", nil, nil) },
	"kill its parent":    func(string) error { p, _ := os.FindProcess(os.Getppid()); return p.Kill() },
	"its environment": func(string) error {
		return errors.New(strings.Join(os.Environ(), " "))
	},
	"take memory": func(string) error {
		for all := [][]byte{}; ; all = append(all, make([]byte, 64<<20)) {
			for i := range all {
				for j := 0; j < len(all[i]); j += 4096 {
					all[i][j] = 1
				}
			}
		}
	},
	"write a large file": func(of string) error { return os.Truncate(filepath.Join(of, "own"), 1<<30) },
	"burn": func(string) error {
		for {
			runtime.Gosched()
		}
	},
	"panic": func(string) error { panic("a bug") },
	"crash": func(string) error { return crash() },
}

// crash writes where nothing is.
func crash() error {
	var nowhere *int
	*nowhere = 1 //nolint:govet // it is to crash
	return nil
}

const memory = 256 << 20

// misdeed tries what it reads, as "word of folder", and writes the error.
var misdeed = Task{Name: "misdeed", Do: func(_ context.Context, in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	what, of, _ := strings.Cut(string(text), "|")
	if err := Confine(Limits{Memory: memory, CPU: time.Second, FileBytes: 1 << 20, Files: 64, Read: []string{of}, Write: []string{of}}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%v", misdeeds[what](of))
	return err
}}

func TestMain(m *testing.M) {
	if code, was := Main(misdeed); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func try(t *testing.T, what string) (string, error) {
	t.Helper()
	above := t.TempDir()
	of := filepath.Join(above, "own")
	if err := errors.Join(os.Mkdir(of, 0o700), os.WriteFile(filepath.Join(of, "own"), []byte("x"), 0o600), os.WriteFile(filepath.Join(above, "other"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	command, err := misdeed.Command()
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(t.Context(), command, []byte(what+"|"+of))
	return string(out), err
}

func TestConfined(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux confines a process")
	}
	t.Setenv("SECRET", "hunter2")
	for what, want := range map[string]string{
		"nothing": "<nil>", "read its file": "<nil>", "write beside it": "<nil>",
		"read another file": "permission denied", "read its parent": "permission denied", "write another file": "permission denied",
		"dial": "operation not permitted", "run a program": "operation not permitted", "kill its parent": "not permitted",
		"write a large file": "file too large", "its environment": "MALLOC_ARENA_MAX=2",
	} {
		t.Run(what, func(t *testing.T) {
			got, err := try(t, what)
			if err != nil || !strings.HasSuffix(got, want) {
				t.Errorf("it says %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestDeaths(t *testing.T) {
	for what, want := range map[string]string{
		"take memory": "", "burn": "SIGXCPU", "panic": "a bug", "crash": "invalid memory address",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := try(t, what)
			var died *DiedError
			if !errors.As(err, &died) || !strings.Contains(err.Error(), want) {
				t.Fatalf("the error is %v, want a death with %q", err, want)
			}
			if what == "take memory" && died.Peak == 0 {
				return // this process has been larger, so that the kernel does not tell
			}
			if died.OutOfMemory(memory) != (what == "take memory") {
				t.Errorf("out of memory: %v: %v, peak %d of %d", died.OutOfMemory(memory), died, died.Peak, memory)
			}
		})
	}
}

func TestOtherPrograms(t *testing.T) {
	for _, command := range [][]string{nil, {"/nowhere/millrace"}, {"true"}, {"echo", "{}"}, {"sh", "-c", "echo unknown command >&2; exit 2"}} {
		_, err := Run(t.Context(), command, nil)
		if err == nil || errors.As(err, new(*DiedError)) {
			t.Errorf("%v: the error is %v, want one that is no death", command, err)
		}
	}
	if _, err := (Task{Name: "other"}).Command(); err == nil || !strings.Contains(err.Error(), "call apart.Main with it first") {
		t.Errorf("a task that this program does not do: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, gone)
	defer cancel()
	if _, err := Run(ctx, []string{"sleep", "60"}, nil); !errors.Is(err, gone) {
		t.Errorf("the error is %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	command, err := misdeed.Command()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for b.Loop() {
		if _, err := Run(b.Context(), command, []byte("nothing|"+dir)); err != nil {
			b.Fatal(err)
		}
	}
}
