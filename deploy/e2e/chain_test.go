package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/shared/summary"
)

// scenario is one life of a model, in a pipeline of its own.
type scenario struct {
	pipeline string
	spec     map[string]string
	test     func(*testing.T, *env.System)
}

var scenarios = []scenario{
	{"uploads", map[string]string{"train": ""}, uploads},
	{"models", nil, models},
	{"canary", map[string]string{
		"promote": "{strategy: canary, approval: required, steps: [30, 100], advance: {requests: 20, within: 1h}}",
	}, canary},
	{"guarded", map[string]string{
		"promote": "{strategy: canary, steps: [50, 100], advance: {requests: 100000, within: 1h}, guardrails: [{metric: latency_p95_ms, max: 0.0001}]}",
	}, guardrail},
	{"drifting", map[string]string{
		"train":   tumours.Train(`cp "$0.onnx" "$MILLRACE_OUTPUT/model.onnx"`, "on: []"),
		"monitor": "{every: {rows: 200}, on_drift: retrain, cooldown: 1h}",
		// The data has drifted and the model is as good as before; a worse model is another test.
		"evaluate": "{metrics: [roc_auc], gates: [{metric: roc_auc, min: 0.5}]}",
	}, drift},
}

// TestChain runs every scenario at once, over the embedded log and over an
// external NATS server.
func TestChain(t *testing.T) {
	for _, way := range []string{"Embedded", "NATS"} {
		t.Run(way, func(t *testing.T) {
			o := env.Options{}
			if way == "NATS" {
				if os.Getenv("MILLRACE_SERVER") != "" {
					t.Skip("the system runs elsewhere, over the log that it has")
				}
				o.Broker = env.NewBroker(t)
			}
			for _, sc := range scenarios {
				o.Pipelines = append(o.Pipelines, tumours.Pipeline{Name: sc.pipeline, Spec: sc.spec}.Write(t))
			}
			s := env.Start(t, o)
			t.Run("Scenarios", func(t *testing.T) {
				for _, sc := range scenarios {
					t.Run(sc.pipeline, func(t *testing.T) {
						t.Parallel()
						s.Needs(t, sc.pipeline)
						sc.test(t, s)
					})
				}
			})
			s.Settle(t)
			sound(t, s)
		})
	}
}

// TestWritePipelines writes the scenarios' pipelines into the folder of
// MILLRACE_E2E_PIPELINES, for a new system elsewhere that TestChain is to run
// against.
func TestWritePipelines(t *testing.T) {
	dir := os.Getenv("MILLRACE_E2E_PIPELINES")
	if dir == "" {
		t.Skip("MILLRACE_E2E_PIPELINES is not set")
	}
	for _, sc := range scenarios {
		must(t, os.CopyFS(filepath.Join(dir, sc.pipeline), os.DirFS(tumours.Pipeline{Name: sc.pipeline, Spec: sc.spec}.Write(t))))
	}
}

// uploads replaces, removes and repeats objects.
func uploads(t *testing.T, s *env.System) {
	w := s.Watch(t, "uploads")
	a, b := tumours.Draw(t, 150, 1).Parquet(t), tumours.Draw(t, 200, 2).Parquet(t)
	var snapshots []string
	for i, content := range [][]byte{a, b, a} { // three uploads, though the first and the last are the same bytes
		if u := s.Put(t, "uploads/data/x.parquet", content); u.Duplicate {
			t.Fatalf("upload %d is taken for one before", i)
		}
		d := env.Await[events.DatasetValidated](t, w)
		if d.Data.Partitions != 1 || d.Data.Rows != []int64{150, 200, 150}[i] {
			t.Errorf("upload %d: %s", i, summary.Of(w.Newest()))
		}
		snapshots = append(snapshots, d.Data.Snapshot)
	}
	if snapshots[0] != snapshots[2] || snapshots[0] == snapshots[1] {
		t.Errorf("snapshots %v: the first is the third, and not the second", snapshots)
	}
	if u := s.Put(t, "uploads/data/x.parquet", a); !u.Duplicate {
		t.Error("the same bytes again are a new upload")
	}
	s.Put(t, "uploads/data/y.csv", tumours.Draw(t, 120, 3).CSV())
	if d := env.Await[events.DatasetValidated](t, w); d.Data.Partitions != 2 || d.Data.Rows != 270 {
		t.Errorf("with the second object: %+v", d.Data)
	}
	if a := s.Ask(t, "DELETE", "/uploads/uploads/data/x.parquet", nil); a.Status != 200 {
		t.Errorf("remove: %+v", a)
	}
	if d := env.Await[events.DatasetValidated](t, w); d.Data.Partitions != 1 || d.Data.Rows != 120 || d.Data.RemovedObject != "uploads/data/x.parquet" {
		t.Errorf("without the first object: %+v", d.Data)
	}
	a2 := s.Ask(t, "DELETE", "/uploads/uploads/data/z.parquet", nil)
	if a2.Status != 404 {
		t.Errorf("remove what is not there: %+v", a2)
	}
	says(t, a2.Text, "there is no upload")
}

// models are trained, refused, rolled back, promoted and registered.
func models(t *testing.T, s *env.System) {
	w := s.Watch(t, "models")
	ctx := env.Context(t)
	s.Put(t, "models/data/a.parquet", tumours.Draw(t, 400, 1).Parquet(t))
	first := env.Await[events.TrainingStarted](t, w)
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 1 })

	// The same run is not repeated, whatever triggers it.
	_, err := s.Retrain(ctx, "models", events.TrainingRequested{By: "tester"})
	must(t, err)
	skipped := env.Await[events.TrainingSkipped](t, w)
	if skipped.Data.Run != first.Data.Run {
		t.Errorf("skipped: %+v", skipped.Data)
	}
	says(t, skipped.Data.Reason, first.Data.Run)
	tick := events.ScheduleTicked{Schedule: "nightly", Action: "retrain", Due: time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)}
	for _, id := range []string{"tick-1", "tick-2"} { // one due time, sent twice
		if a := s.Send(t, id, tick, "models"); a.Status != 202 {
			t.Fatalf("tick: %+v", a)
		}
	}
	if d := env.Await[events.TrainingSkipped](t, w); d.Data.Trigger != "schedule" || d.Data.Run != first.Data.Run {
		t.Errorf("the schedule: %+v", d.Data)
	}

	// Another parameter is another run; its model is judged against v1.
	retrain := func(model string) {
		t.Helper()
		_, err := s.Retrain(ctx, "models", events.TrainingRequested{Params: map[string]any{"model": model}})
		must(t, err)
	}
	retrain(tumours.Similar)
	if d := env.Await[events.ModelApproved](t, w); d.Data.Champion == nil || d.Data.Champion.Version != 1 {
		t.Errorf("v2 was not held against v1: %+v", d.Data)
	}
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 && d.Previous == 1 })
	if why := s.Why(t, "models", "v2"); !leadsTo(why.Event.Causes, events.TrainingRequested{}) {
		t.Error("why v2: the request is not among its causes")
	}
	retrain(tumours.Shuffled)
	if d := env.Await[events.ModelRejected](t, w); d.Data.Version != 3 {
		t.Errorf("rejected: %+v", d.Data)
	} else {
		says(t, d.Data.Reason, "roc_auc")
	}
	_, err = s.Promote(ctx, "models", events.PromotionApproved{Version: 3})
	refused(t, err, "v3 of models was rejected")

	// Back and forth by request.
	_, err = s.Rollback(ctx, "models", events.RollbackRequested{By: "tester", Reason: "it looks odd"})
	must(t, err)
	if d := env.Await[events.ModelRolledBack](t, w); d.Data.Version != 2 || d.Data.To != 1 || d.Data.By != "tester" {
		t.Errorf("rolled back: %+v", d.Data)
	}
	c := calls(s, "models")
	if got := c.served(t); got != 1 {
		t.Errorf("v%d answers after the rollback", got)
	}
	_, err = s.Promote(ctx, "models", events.PromotionApproved{Version: 2})
	must(t, err)
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 })
	_, err = s.Rollback(ctx, "models", events.RollbackRequested{To: 9})
	refused(t, err, "has no v9")

	// A model from elsewhere is judged like any other. (Its bytes are v1's.)
	r, err := s.Register(ctx, "models", "elsewhere.onnx", tumours.Model(t, tumours.Good), "tester")
	must(t, err)
	if r.Version != 4 {
		t.Errorf("registered: %+v", r)
	}
	if d := env.Await[events.ModelApproved](t, w); d.Data.Version != 4 || d.Data.Champion == nil || d.Data.Champion.Version != 2 {
		t.Errorf("the registered model was judged: %+v", d.Data)
	}
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 4 })
	r, err = s.Register(ctx, "models", "elsewhere.onnx", tumours.Model(t, tumours.Good), "tester")
	if must(t, err); !r.Duplicate || r.Version != 4 {
		t.Errorf("registered again: %+v", r)
	}
	c.logged(t, w.From())
}

// canary moves traffic in steps that a person allows.
func canary(t *testing.T, s *env.System) {
	w, ctx := s.Watch(t, "canary"), env.Context(t)
	yes := func(version int) {
		t.Helper()
		_, err := s.Promote(ctx, "canary", events.PromotionApproved{Version: version, By: "tester"})
		must(t, err)
	}
	s.Put(t, "canary/data/a.parquet", tumours.Draw(t, 400, 1).Parquet(t))
	env.Await(t, w, func(d events.RolloutStarted) bool { return d.Version == 1 && d.Waits })
	yes(1)
	secondVersion(t, s, w)
	if d := env.Await[events.RolloutStarted](t, w, func(d events.RolloutStarted) bool { return d.Version == 2 }); !d.Data.Waits {
		t.Errorf("the rollout does not wait for a yes: %+v", d.Data)
	}
	yes(2)
	if d := env.Await[events.RolloutAdvanced](t, w); d.Data.Waits || share(d.Data.Weights, 2) != 30 {
		t.Errorf("the first step: %+v", d.Data)
	}
	c := calls(s, "canary")
	stop := c.traffic(t, 1)
	if d := env.Await[events.RolloutAdvanced](t, w); !d.Data.Waits || d.Data.Evidence.Requests < 20 {
		t.Errorf("the evidence: %+v", d.Data)
	}
	yes(2)
	done := env.Await[events.ModelPromoted](t, w)
	if done.Data.Version != 2 || done.Data.Previous != 1 {
		t.Errorf("promoted: %+v", done.Data)
	}
	stop()
	if c.answered[1] == 0 || c.answered[2] < 20 {
		t.Errorf("requests by version: %v", c.answered)
	}
	c.logged(t, w.From())
}

// guardrail takes a canary back that breaks its bound.
func guardrail(t *testing.T, s *env.System) {
	w := s.Watch(t, "guarded")
	s.Put(t, "guarded/data/a.parquet", tumours.Draw(t, 400, 1).Parquet(t))
	secondVersion(t, s, w)
	env.Await(t, w, func(d events.RolloutStarted) bool { return d.Version == 2 && share(d.Weights, 2) == 50 })
	c := calls(s, "guarded")
	c.ask = client.Ask{Version: 2} // the champion would be as slow, and then neither is to blame
	stop := c.traffic(t, 500)
	env.Await(t, w, func(d events.ModelRolledBack) bool { return d.Version == 2 && d.To == 1 })
	aborted := env.Await[events.RolloutAborted](t, w)
	says(t, aborted.Data.Guardrail, "latency_p95_ms")
	says(t, aborted.Data.Reason, "requests are beyond it")
	stop()
	if p := s.Pipeline(t, "guarded"); p.Route.Champion != 1 || p.Route.Percent(1) != 100 || p.Model(2).State != state.Archived {
		t.Errorf("after the rollback: route %+v, v2 is %s", p.Route, p.Model(2).State)
	}
	c.logged(t, w.From())
}

// drift is noticed in traffic, waits for labels, and is what trains v2.
func drift(t *testing.T, s *env.System) {
	w, ctx := s.Watch(t, "drifting"), env.Context(t)
	s.Put(t, "drifting/data/a.parquet", tumours.Draw(t, 500, 1).Parquet(t))
	env.Await[events.DatasetValidated](t, w)
	_, err := s.Retrain(ctx, "drifting", events.TrainingRequested{})
	must(t, err)
	env.Await[events.ModelPromoted](t, w)

	rows := tumours.Drifted(t, 250, 2)
	labels, c := "request_id,row,size,benign\n", calls(s, "drifting")
	for from := 0; from < rows.Len(); from += 25 {
		p := c.predict(t, rows.Features(t, from, from+25))
		for i := range p.Predictions {
			labels += line(p.Request, i, rows.Size(from+i), rows.Benign(from+i))
		}
	}
	detected := env.Await[events.DriftDetected](t, w)
	says(t, detected.Data.Reason, "mean_")
	if d := env.Await[events.TrainingSkipped](t, w); !d.Data.Waits || !slices.Contains(d.Data.Causes, detected.ID) {
		t.Errorf("nothing new to train on: %+v", d.Data)
	}
	s.Put(t, "drifting/labels/a.csv", []byte(labels))
	if d := env.Await[events.LabelsIngested](t, w); d.Data.Matched != 250 || d.Data.Unmatched != 0 {
		t.Errorf("labels: %+v", d.Data)
	}
	if d := env.Await[events.DatasetValidated](t, w); d.Data.Rows != 750 || d.Data.Partitions != 2 {
		t.Errorf("the dataset with the labelled rows: %+v", d.Data)
	}
	started := env.Await[events.TrainingStarted](t, w)
	if started.Data.Trigger != "drift" || !slices.Contains(started.Data.Causes, detected.ID) {
		t.Errorf("v2 is trained: %+v", started.Data)
	}
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 })
	if why := s.Why(t, "drifting", "drifting/v2"); !leadsTo(why.Event.Causes, events.DriftDetected{}) {
		t.Error("why v2: drift.detected is not among its causes")
	}
}

// A handling that fails until its attempts are spent is a dead letter, which is
// sent again when the reason is gone.
func TestDeadLetter(t *testing.T) {
	s := env.Start(t, env.Options{
		Pipelines: []string{tumours.Pipeline{Name: "letters"}.Write(t)},
		Retry:     function.Retry{Attempts: 3, First: 50 * time.Millisecond, Max: time.Second},
	})
	s.Local(t)
	w, ctx := s.Watch(t, "letters"), env.Context(t)
	s.Put(t, "letters/data/a.parquet", tumours.Draw(t, 300, 1).Parquet(t))
	env.Await[events.ModelPromoted](t, w)
	s.Settle(t)

	there, gone := filepath.Join(s.Dir, "artifacts", "sha256"), filepath.Join(s.Dir, "artifacts", "gone")
	must(t, os.Rename(there, gone))
	_, err := s.Retrain(ctx, "letters", events.TrainingRequested{Params: map[string]any{"model": tumours.Similar}})
	must(t, err)
	letter := env.Await[events.DeadLetterRecorded](t, w)
	if letter.Data.Function != "train-launcher" || letter.Data.Attempts != 3 {
		t.Errorf("dead letter: %+v", letter.Data)
	}
	says(t, letter.Data.Reason, "not in the artifact store")
	if n := len(s.Pipeline(t, "letters").DeadLetters); n != 1 {
		t.Errorf("%d dead letters are open", n)
	}
	must(t, os.RemoveAll(there)) // the lost folder may have been made again
	must(t, os.Rename(gone, there))
	_, err = s.CloseDeadLetter(ctx, letter.ID, "retry", "tester", "the files are there again")
	must(t, err)
	env.Await(t, w, func(d events.ModelPromoted) bool { return d.Version == 2 })
	_, err = s.CloseDeadLetter(ctx, letter.ID, "retry", "tester", "")
	refused(t, err, "no open dead letter")
	s.Settle(t)
	sound(t, s, letter.ID)
}
