package validate_test

import (
	"path/filepath"
	"slices"
	"testing"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/table"
)

func profileOf(t *testing.T, xs ...float64) *table.Profile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.parquet")
	w, err := table.Create(path, table.Schema{{Name: "x", Type: table.Float}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&table.Batch{Rows: len(xs), Columns: []table.Vector{{Floats: xs}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := table.ProfileFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDatasetTellsRanges(t *testing.T) {
	t.Parallel()
	d := validate.DatasetOf(profileOf(t, 1, 2.5, 4), 1)
	add := func(xs ...float64) []events.Problem {
		t.Helper()
		problems, differences, err := d.Add(new(config.Pipeline), profileOf(t, xs...))
		if err != nil || problems != nil {
			t.Fatal(problems, err)
		}
		return differences
	}
	if got := add(1, 4, 3); got != nil {
		t.Errorf("within: %v", got)
	}
	want := events.Problem{Check: "range", Column: "x", Count: 3, Fraction: 0.75, Reason: "the values are 0.5 to 5, where they are 1 to 4 in the rest of the dataset"}
	if got := add(0.5, 2, 5, 5); !slices.EqualFunc(got, []events.Problem{want}, func(a, b events.Problem) bool { return a.String() == b.String() && a.Count == b.Count }) {
		t.Errorf("outside: %+v", got)
	}
	if got := add(0.5, 5, 1); got != nil {
		t.Errorf("the dataset has 0.5 to 5 now: %v", got)
	}
}
