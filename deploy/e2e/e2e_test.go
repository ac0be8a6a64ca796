package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/env"
)

func TestMain(m *testing.M) { os.Exit(env.Main(m)) }

// sound stops a system that has settled and has what it left examined. Dead
// letters that were meant are named by their ids.
func sound(t *testing.T, s *env.System, meant ...string) {
	t.Helper()
	s.Stop(t)
	if s.Dir != "" { // else it runs elsewhere and is not stopped
		held(t, s, checker.Expected{Quiet: true}, meant...)
	}
}

// held holds what a stopped system has left against the promises: its log, its
// artifacts, its folder, the machine's temporary files.
func held(t *testing.T, s *env.System, x checker.Expected, meant ...string) {
	t.Helper()
	log, err := checker.Open(env.Context(t), s.LogDir)
	must(t, err)
	defer log.Close()
	report, err := checker.Check(log.Events, x)
	must(t, err)
	left, err := checker.Left(s.Dir, log.Events)
	must(t, err)
	for _, v := range append(report.Violations, left...) {
		i := slices.IndexFunc(log.Events, func(e checker.Event) bool { return e.Sequence == v.Sequence })
		if i < 0 || !slices.Contains(meant, log.Events[i].ID) {
			t.Errorf("broken promise: %s", v)
		}
	}
	temps, err := filepath.Glob(filepath.Join(os.TempDir(), "millrace-*"))
	must(t, err)
	for _, temp := range temps {
		if !strings.Contains(temp, "millrace-log-") { // the checker's own
			t.Errorf("%s was left", temp)
		}
	}
}

// says fails the test unless the text has every one of the words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
