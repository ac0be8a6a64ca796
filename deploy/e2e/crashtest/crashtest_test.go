package main

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// run runs the crash test and returns its report.
func run(t *testing.T, o options) checker.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var out bytes.Buffer
	report, err := crashTest(ctx, o, &out)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestCrash is the short form of what the command does.
func TestCrash(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills for half a minute")
	}
	report := run(t, options{kills: 40, round: 40, parallel: 1, seed: uint64(time.Now().UnixNano()), patient: 3 * time.Minute})
	for _, v := range report.Violations {
		t.Error(v)
	}
}

// TestBrokenPromises proves the checker: it must find the violations of a Millrace
// that breaks a promise.
func TestBrokenPromises(t *testing.T) {
	if testing.Short() {
		t.Skip("kills for a minute")
	}
	for _, c := range []struct {
		without string
		kills   int
		rules   []string
		// patient is longer than the 30 s after which an event that was being
		// handled comes again, where that must be waited for.
		patient time.Duration
	}{
		{"guard", 25, []string{"a snapshot is all its partitions", "one rollout at a time", "steps follow each other", "what is completed was under way"}, 5 * time.Second},
		{"record", 25, []string{"an event is handled once"}, 40 * time.Second},
		{"ack-last", 12, []string{"every event is handled"}, 45 * time.Second},
	} {
		t.Run(c.without, func(t *testing.T) {
			t.Parallel()
			report := run(t, options{kills: c.kills, round: c.kills, parallel: 1, seed: 1, without: c.without, dir: t.TempDir(), patient: c.patient})
			if !slices.ContainsFunc(report.Violations, func(v checker.Violation) bool { return slices.Contains(c.rules, v.Rule) }) {
				t.Errorf("no violation of %q was found: %v", c.rules, report.Violations)
			}
		})
	}
}
