package function_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// exampleT is the testing.TB of an example, which has none of its own.
type exampleT struct {
	testing.TB

	cleanups []func()
}

// newExampleT returns it and what ends it.
func newExampleT() (t *exampleT, end func()) {
	t = &exampleT{}
	return t, func() {
		for _, f := range slices.Backward(t.cleanups) {
			f()
		}
	}
}

func (t *exampleT) Helper() {}

func (t *exampleT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *exampleT) TempDir() string {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *exampleT) Log(args ...any) { fmt.Fprintln(os.Stderr, args...) }

func (t *exampleT) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
