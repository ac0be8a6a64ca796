package validate_test

import (
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/config"
	"millrace.dev/functions/validate"
	"millrace.dev/shared/table"
)

// TestFiles holds files against each other: one that is rejected is not compared
// with later ones, and one that is given again replaces what it was.
func TestFiles(t *testing.T) {
	t.Parallel()
	p, err := config.Parse("pipeline.yaml", []byte(orderRules(oneRowAnOrder)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files, err := validate.NewFiles(t.Context(), p, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name   string
		ids    []int64
		reason string // of the rejection, a part of it
	}{
		{"june.csv", []int64{1, 2}, ""},
		{"july.csv", []int64{3, 2}, "row 2 (id 2, day monday) repeats row 2 of june.csv"},
		{"august.csv", []int64{3}, ""},
		{"june.csv", []int64{1, 2, 4}, ""},
		{"may.csv", []int64{-1, 4}, "row 2 (id 4, day monday) repeats row 3 of june.csv"},
	} {
		path := filepath.Join(dir, "partition.parquet")
		w, err := table.Create(path, orders().Schema)
		if err == nil {
			err = w.Write(orders(step.ids...))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		problems, _, _, err := files.Add(t.Context(), step.name, path, int64(len(step.ids)))
		switch {
		case err != nil:
			t.Fatal(step.name, err)
		case step.reason == "" && len(problems) > 0, step.reason != "" && (len(problems) != 1 || !strings.Contains(problems[0].Reason, step.reason)):
			t.Errorf("%s: %+v", step.name, problems)
		}
	}
}
