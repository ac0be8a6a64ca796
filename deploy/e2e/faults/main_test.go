package faults

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
)

func TestMain(m *testing.M) {
	if os.Getenv(nodeVariable) != "" {
		os.Exit(serveNode())
	}
	setS3()
	os.Exit(env.Main(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long one thing may take.
const patience = 60 * time.Second

// lookEvery is how often a test looks for what it waits for.
const lookEvery = 20 * time.Millisecond

// eventually waits until ok has no error.
func eventually(t testing.TB, what string, ok func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(lookEvery) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// upload sends rows until they are acknowledged, and returns the id of the event
// that was acknowledged. Refusals are counted: they are what an outage may cost.
func upload(t testing.TB, s *env.System, key string, content []byte) (event string, refused int) {
	t.Helper()
	path := file(t, content)
	eventually(t, "upload "+key, func() error {
		out, err := s.Upload(env.Context(t), key, path, nil)
		if err != nil {
			refused++
			return err
		}
		if len(out.Uploads) != 1 {
			return errors.New("no pipeline wants it")
		}
		event = out.Uploads[0].Event
		return nil
	})
	return event, refused
}

// file puts content into a file of its own.
func file(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "upload")
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

// sound has the log of a stopped system examined: every promise kept, every
// upload with one verdict, nothing handled twice.
func sound(t testing.TB, logDir string, promised []string) {
	t.Helper()
	log, err := checker.Open(env.Context(t), logDir)
	must(t, err)
	defer log.Close()
	report, err := checker.Check(log.Events, checker.Expected{Quiet: true, Promised: promised})
	must(t, err)
	for _, v := range report.Violations {
		t.Errorf("broken promise: %s", v)
	}
	if report.Uploads != len(promised) {
		t.Errorf("%d uploads in the log, %d were acknowledged", report.Uploads, len(promised))
	}
	if slices.ContainsFunc(log.Events, func(e checker.Event) bool { return e.Noun == "deadletter" }) {
		t.Error("an outage left dead letters")
	}
}

// rows are an upload's, others for each seed.
func rows(t testing.TB, seed uint64) []byte { t.Helper(); return tumours.Draw(t, 120, seed).Parquet(t) }
