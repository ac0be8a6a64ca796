package evaluate_test

import (
	"encoding/json"
	"os"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
)

// Other gates over the same hold-out are applied to the figures of the last
// evaluation, and say what measuring again would have said, to the last digit.
func TestOtherGatesNeedNoRows(t *testing.T) {
	t.Parallel()
	const before = "{metric: roc_auc, champion: {margin: 0.02}}"
	for name, gates := range map[string][]string{
		"stricter":                {"{metric: roc_auc, min: 0.999}"},
		"another confidence":      {"{metric: roc_auc, champion: {margin: 0.3, confidence: 0.99}}"},
		"another metric":          {"{metric: log_loss, max: 0.2}", "{metric: brier, champion: {margin: 0.5}}"},
		"by slice":                {"{metric: roc_auc, min: 0.8, slice: size, min_rows: 20}", "{metric: f1, champion: {margin: 0.1}, slice: size}"},
		"none":                    nil,
		"as before, and one more": {before, "{metric: accuracy, min: 0.5}"},
	} {
		t.Run(name, func(t *testing.T) {
			judge := func(remove bool, first ...string) (bool, events.EvaluationReport) {
				w := newEnv(t, tumours, first...)
				w.judged(w.trained("tumours", "tumours-good"))
				w.promoted()
				_, ev := w.judged(w.trained("tumours", "tumours-weak"))
				w.configure(tumours, gates...)
				if remove {
					ctx := functiontest.Context(t)
					for _, ref := range []events.Ref{w.put("tumours-good.onnx"), w.put("tumours-weak.onnx"), ev.Holdout} {
						path, err := w.Artifacts.Path(ctx, ref)
						must(t, err)
						must(t, os.Remove(path))
					}
				} else {
					// A report that cannot be found has no figures.
					path, err := w.Artifacts.Path(functiontest.Context(t), ev.Report)
					must(t, err)
					must(t, os.Remove(path))
				}
				w.f = w.function()
				approved, again := w.judged(w.Announce(t, w.pipeline, "gateway", events.EvaluationRequested{Version: 2})[0])
				return approved, w.report(again)
			}
			measured, want := judge(false, before)
			reevaluated, got := judge(true, before)
			a, err1 := json.Marshal(got)
			b, err2 := json.Marshal(want)
			if reevaluated != measured || err1 != nil || err2 != nil || string(a) != string(b) {
				t.Errorf("by figures %t, by rows %t\n%s\n%s", reevaluated, measured, a, b)
			}
		})
	}
}

// Figures of other rows, of another champion, of other features, or without
// what a gate asks for, are not used.
func TestFiguresThatDoNotSuffice(t *testing.T) {
	t.Parallel()
	w := newEnv(t, tumours, "{metric: roc_auc, min: 0.5}")
	e := w.trained("tumours", "tumours-good")
	w.judged(e)
	weak := w.trained("tumours", "tumours-weak")
	w.judged(weak)
	w.promoted() // v2 was judged without a champion
	_, ev := w.judged(w.Announce(t, w.pipeline, "gateway", events.EvaluationRequested{Version: 2})[0])
	if ev.Champion == nil || ev.Champion.Version != 1 || w.report(ev).Against != 1 {
		t.Errorf("not judged against the champion of now: %+v", ev)
	}
}
