package main

import (
	"fmt"
	"io"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// total adds up the reports of several instances.
type total struct{ checker.Report }

func (t *total) add(r checker.Report) {
	t.Events += r.Events
	t.Uploads += r.Uploads
	t.Runs += r.Runs
	t.Models += r.Models
	t.Promotions += r.Promotions
	t.Served += r.Served
	t.GivenUp += r.GivenUp
	t.Violations = append(t.Violations, r.Violations...)
}

// maxShown bounds the violations that are printed.
const maxShown = 30

func (t *total) print(w io.Writer, k *tally, took time.Duration) {
	fmt.Fprintln(w, "\nkilled")
	fmt.Fprintf(w, "  %-24s%6d\n", random, k.kills[random])
	for _, p := range points {
		fmt.Fprintf(w, "  %-24s%6d\n", p.name, k.kills[p.name])
	}
	fmt.Fprintf(w, "  %-24s%6d\n\n", "in all", k.total())
	for _, row := range []struct {
		name string
		n    int
	}{
		{"events", t.Events}, {"uploads", t.Uploads}, {"runs", t.Runs}, {"models", t.Models}, {"promotions", t.Promotions}, {"states compared", t.Served},
		{"killed at each attempt", t.GivenUp},
		{"violations", len(t.Violations)}, {"seconds", int(took.Seconds())},
	} {
		fmt.Fprintf(w, "%-26s%6d\n", row.name, row.n)
	}
	for i, v := range t.Violations {
		if i == maxShown {
			fmt.Fprintf(w, "and %d more\n", len(t.Violations)-i)
			break
		}
		fmt.Fprintln(w, v)
	}
}
