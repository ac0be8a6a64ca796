package onnx

import (
	"slices"
	"testing"
)

// TestMissingStrings scores rows with a missing string as rows that have the text
// which stands for it.
func TestMissingStrings(t *testing.T) {
	for _, text := range []string{"", "UA", "nan"} {
		m, g := openChecked(t, "logistic", Options{})
		c := g.contract()
		i := slices.IndexFunc(c.Features, func(f Feature) bool { return f.Type == String })
		c.Features[i].Missing = text
		if err := m.Check(c); err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{1, 5} {
			missing, written := repeat(g.batch(t), rows), repeat(g.batch(t), rows)
			missing.Columns[i].Nulls = make([]bool, rows)
			missing.Columns[i].Nulls[rows-1] = true
			written.Columns[i].Nulls = nil
			written.Columns[i].Strings[rows-1] = text
			var got, want Scores
			if err := m.Score(t.Context(), missing, &got); err != nil {
				t.Fatal(err)
			}
			if err := m.Score(t.Context(), written, &want); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Values, want.Values) {
				t.Errorf("%q, %d rows: a missing value gives %v, the text %v", text, rows, got.Values, want.Values)
			}
			other := "JFK"
			written.Columns[i].Strings[rows-1] = other
			if err := m.Score(t.Context(), written, &want); err != nil {
				t.Fatal(err)
			}
			if text == "UA" && slices.Equal(got.Values, want.Values) {
				t.Errorf("the model answers %v for any text", got.Values)
			}
		}
	}
}
