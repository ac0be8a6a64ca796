package e2e_test

import (
	"strings"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/events"
)

// misbehaving is a trainer that does what its parameter says.
const misbehaving = `case $0 in ` +
	`crash) echo reading; echo no such luck >&2; exit 3;; ` +
	`hang) trap '' TERM; echo thinking; while :; do sleep 1; done;; ` +
	`nothing) ;; ` +
	`garbage) echo garbage > $MILLRACE_OUTPUT/model.onnx;; ` +
	`fill) dd if=/dev/zero of=$MILLRACE_OUTPUT/big bs=1048576 count=64 2>/dev/null; cp good.onnx $MILLRACE_OUTPUT/model.onnx;; ` +
	`talk) echo the first words; yes 'much is said and little meant' | head -c 300000000; echo the last words; cp similar.onnx $MILLRACE_OUTPUT/model.onnx;; ` +
	`*) cp $0.onnx $MILLRACE_OUTPUT/model.onnx;; esac`

// TestBadTrainers: each failed run has a reason and a hint, and the next run
// starts.
func TestBadTrainers(t *testing.T) {
	t.Setenv("MILLRACE_TRAIN_MAX_OUTPUT", "1048576")
	t.Setenv("MILLRACE_TRAIN_MAX_LOG", "1048576")
	s := env.Start(t, env.Options{Pipelines: []string{
		tumours.Pipeline{Name: "failing", Spec: map[string]string{"train": tumours.Train(misbehaving, "retries: 0", "timeout: 2m")}}.Write(t),
		tumours.Pipeline{Name: "hanging", Spec: map[string]string{"train": tumours.Train(misbehaving, "retries: 1", "timeout: 3s")}}.Write(t),
	}})
	s.Local(t) // its limits are set here
	ctx := env.Context(t)
	failing, hanging := s.Watch(t, "failing"), s.Watch(t, "hanging")
	for _, w := range []*env.Watch{failing, hanging} {
		s.Put(t, w.Pipeline()+"/data/a.parquet", tumours.Draw(t, 300, 1).Parquet(t))
		env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 1 })
	}
	train := func(w *env.Watch, how string) {
		t.Helper()
		_, err := s.Retrain(ctx, w.Pipeline(), events.TrainingRequested{Params: map[string]any{"model": how}})
		must(t, err)
	}
	for _, c := range []struct {
		name, how string
		w         *env.Watch
		words     []string
	}{
		{"Crashes", "crash", failing, []string{"exit code 3", "no such luck"}},
		{"WritesNoModel", "nothing", failing, []string{"left no model.onnx", "MILLRACE_OUTPUT"}},
		{"WritesGarbage", "garbage", failing, []string{"model.onnx", "cannot be used"}},
		{"WritesOtherInputs", tumours.Narrow, failing, []string{"the model's inputs are not those of the pipeline", "4 features"}},
		{"FillsTheQuota", "fill", failing, []string{"more than the 1.0 MiB that a run may leave", "MILLRACE_TRAIN_MAX_OUTPUT"}},
		{"CannotBeFound", "no-such-model", failing, []string{"exit code 1", "no-such-model.onnx"}},
		{"Hangs", "hang", hanging, []string{"longer than the 3s of train.timeout", "raise train.timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			train(c.w, c.how)
			d := env.Await[events.TrainingFailed](t, c.w)
			says(t, d.Data.Reason+"; "+d.Data.Hint, c.words...)
			t.Logf("%s (%s)", d.Data.Reason, d.Data.Hint)
		})
	}
	t.Run("TalksTooMuch", func(t *testing.T) {
		train(failing, "talk")
		d := env.Await[events.TrainingCompleted](t, failing)
		if d.Data.Log.Size > 1<<20+4096 {
			t.Errorf("%d bytes of its log are kept", d.Data.Log.Size)
		}
		a := s.Ask(t, "GET", "/api/runs/"+d.Data.Run+"/log", nil)
		if says(t, a.Text, "the first words", "the last words"); strings.Count(a.Text, "\n") < 1000 {
			t.Errorf("the log has %d lines", strings.Count(a.Text, "\n"))
		}
		env.Await(t, failing, func(d events.ModelPromoted) bool { return d.Version == 2 })
	})
	t.Run("GoesOn", func(t *testing.T) {
		train(hanging, tumours.Similar)
		env.Await(t, hanging, func(d events.ModelPromoted) bool { return d.Version == 2 })
	})
	s.Settle(t)
	sound(t, s)
}
