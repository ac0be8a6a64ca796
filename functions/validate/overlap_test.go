package validate_test

import (
	"slices"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// numbered is a partition of different rows.
func numbered(from, n int) *table.Batch {
	rows := make([]sale, n)
	for i := range rows {
		rows[i] = sale{"Rome", float64(from + i), true}
	}
	return shop(rows...)
}

// overlapOf returns the reason of the warning about common rows, empty without.
func overlapOf(d events.DatasetValidated) string {
	i := slices.IndexFunc(d.Warnings, func(p events.Problem) bool { return p.Check == "overlap" })
	if i < 0 {
		return ""
	}
	reason, _, _ := strings.Cut(d.Warnings[i].Reason, ";")
	return reason
}

func TestOverlappingDeliveriesAreTold(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	for _, step := range []struct {
		key  string
		part *table.Batch
		want string
	}{
		{"shop/a", numbered(0, 100), ""},
		{"shop/b", numbered(100, 50), ""},
		{"shop/c", numbered(90, 40), "30 of 40 rows are in shop/b too, and rows in 1 other upload"},
		// A partition does not overlap with the one that it replaces.
		{"shop/c", numbered(150, 50), ""},
		{"shop/b", numbered(100, 49), ""},
		// Rows that repeat within the file repeat in others too.
		{"shop/d", shop(sales(30, sale{"Rome", 1, true})...), ""},
	} {
		if got := overlapOf(r.validated(r.ingest(step.key, step.part))); got != step.want {
			t.Errorf("%s: got %q, want %q", step.key, got, step.want)
		}
	}
}

// TestOverlapOfLargeDeliveries estimates from a sample.
func TestOverlapOfLargeDeliveries(t *testing.T) {
	t.Parallel()
	r := newEnv(t, contract(""))
	r.validated(r.ingest("shop/a", numbered(0, 300_000)))
	d := r.validated(r.ingest("shop/b", numbered(250_000, 200_000)))
	i := slices.IndexFunc(d.Warnings, func(p events.Problem) bool { return p.Check == "overlap" })
	if i < 0 || d.Warnings[i].Count < 48_000 || d.Warnings[i].Count > 52_000 || !strings.HasPrefix(d.Warnings[i].Reason, "about ") {
		t.Errorf("got %+v, want about 50,000 of 200,000 rows", d.Warnings)
	}
}
