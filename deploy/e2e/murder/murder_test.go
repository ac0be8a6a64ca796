package main

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/murder/checker"
)

// run kills so often, and gives what was found.
func run(t *testing.T, o options) checker.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var said bytes.Buffer
	report, err := murder(ctx, o, &said)
	t.Log(said.String())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestMurder is the short form of what the command does.
func TestMurder(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills for half a minute")
	}
	report := run(t, options{kills: 40, round: 40, parallel: 1, seed: uint64(time.Now().UnixNano()), patient: 3 * time.Minute})
	for _, v := range report.Violations {
		t.Error(v)
	}
}

// TestPromisesTakenAway proves the checker: it must see what becomes of a
// Millrace that does not keep its promises.
func TestPromisesTakenAway(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program for each promise")
	}
	for _, c := range []struct {
		tags  string
		kills int
		rules []string
		// patient is longer than the 30 s after which an event that was being
		// handled comes again, where that must be waited for.
		patient time.Duration
	}{
		{"murder_noguard", 25, []string{"a snapshot is all its partitions", "one rollout at a time", "steps follow each other", "what is completed was under way"}, 5 * time.Second},
		{"murder_norecord", 25, []string{"an event is handled once"}, 40 * time.Second},
		{"murder_ackfirst", 12, []string{"every event is handled"}, 45 * time.Second},
	} {
		t.Run(c.tags, func(t *testing.T) {
			t.Parallel()
			report := run(t, options{kills: c.kills, round: c.kills, parallel: 1, seed: 1, tags: c.tags, dir: t.TempDir(), patient: c.patient})
			if !slices.ContainsFunc(report.Violations, func(v checker.Violation) bool { return slices.Contains(c.rules, v.Rule) }) {
				t.Errorf("nothing of %q was seen: %v", c.rules, report.Violations)
			}
		})
	}
}
