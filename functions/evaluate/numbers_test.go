package evaluate_test

import (
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

// A hold-out with numbers that the model's FP32 inputs do not hold: whole numbers
// are rounded, which a note says, and what would become infinite is refused.
func TestNumbersThatDoNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bill     float64
		mass     int64
		approved bool
		want     string
	}{
		"rounded":  {39.1, 16_777_217, true, "the model takes body_mass_g as FP32, which does not hold all of their whole numbers: they are rounded to the nearest"},
		"infinite": {1e308, 3750, false, "column bill_length_mm, row 1: 1e+308 is beyond what the model's input holds, FP32"},
		"exact":    {39.1, 16_777_216, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, strings.Replace(penguins, "body_mass_g: {type: float", "body_mass_g: {type: int", 1), "{}")
			b := &table.Batch{Rows: 2, Schema: table.Schema{
				{Name: "sex", Type: table.String}, {Name: "island", Type: table.String}, {Name: "bill_length_mm", Type: table.Float},
				{Name: "body_mass_g", Type: table.Int}, {Name: "species", Type: table.String},
			}, Columns: []table.Vector{
				{Strings: []string{"male", "female"}}, {Strings: []string{"Biscoe", "Dream"}}, {Floats: []float64{40, c.bill}},
				{Ints: []int64{4000, c.mass}}, {Strings: []string{"Gentoo", "Adelie"}},
			}}
			path := filepath.Join(t.TempDir(), "holdout.parquet")
			out, err := table.Create(path, b.Schema)
			must(t, err)
			must(t, out.Write(b))
			must(t, out.Close())
			d := w.started("penguins")
			d.Holdout, err = w.Artifacts.PutFile(functiontest.Context(t), path, ".parquet", false)
			must(t, err)
			approved, ev := w.judged(w.completed(d, w.model("penguins-good.onnx")))
			text := ev.Reason + "; " + strings.Join(w.report(ev).Notes, "; ")
			if approved != c.approved || !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, "rounded") {
				t.Errorf("approved: %v, %s\nwant %s", approved, text, c.want)
			}
		})
	}
}
