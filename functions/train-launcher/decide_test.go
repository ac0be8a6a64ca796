package trainlauncher

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

var noon = time.Date(2013, 4, 1, 12, 0, 0, 0, time.UTC)

const (
	oldSnapshot = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"
	newSnapshot = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// pipeline is a state: v1 of run r1 on the old snapshot is the champion, and a
// newer snapshot has come, with the event e-new.
func pipeline(changes ...func(*state.Pipeline)) *state.Pipeline {
	p := state.New("flights")
	p.Config = &config.Pipeline{Spec: config.Spec{Train: &config.Train{On: []string{"upload"}, Params: map[string]any{"rate": 0.1}}}}
	p.Dataset = state.Dataset{
		Snapshot: newSnapshot, Event: "e-new", NewRows: 27004, Added: noon,
		Snapshots: []*state.Snapshot{{Digest: oldSnapshot}, {Digest: newSnapshot}},
	}
	p.Runs = []*state.Run{{TrainingStarted: events.TrainingStarted{Run: "r1", Snapshot: oldSnapshot}, Status: state.RunCompleted, Version: 1}}
	p.Models = []*state.Model{{Version: 1, Run: "r1", Snapshot: oldSnapshot, State: state.Champion}}
	p.Route.Champion = 1
	for _, change := range changes {
		change(p)
	}
	return p
}

func without(p *state.Pipeline) { p.Config.Spec.Train = nil }
func onNothing(p *state.Pipeline) {
	p.Config.Spec.Train.On = nil
}
func noData(p *state.Pipeline) { p.Dataset = state.Dataset{} }
func oldData(p *state.Pipeline) {
	p.Dataset.Snapshot, p.Dataset.Snapshots = oldSnapshot, p.Dataset.Snapshots[:1]
}
func firstRun(p *state.Pipeline) { p.Runs, p.Models, p.Route.Champion = nil, nil, 0 }

func afterRows(n int64) func(*state.Pipeline) {
	return func(p *state.Pipeline) { p.Config.Spec.Train.After.Rows = n }
}

func afterQuiet(d time.Duration) func(*state.Pipeline) {
	return func(p *state.Pipeline) { p.Config.Spec.Train.After.Quiet = config.Duration(d) }
}

// running adds a run r2 that is under way.
func running(snapshot string) func(*state.Pipeline) {
	return func(p *state.Pipeline) {
		p.Runs = append(p.Runs, &state.Run{TrainingStarted: events.TrainingStarted{Run: "r2", Snapshot: snapshot}, Status: state.RunStarted})
	}
}

// failed adds a run r2 that has failed.
func failed(snapshot string) func(*state.Pipeline) {
	return func(p *state.Pipeline) { running(snapshot)(p); p.Runs[len(p.Runs)-1].Status = state.RunFailed }
}

func pending(trigger string, until time.Time, because ...string) func(*state.Pipeline) {
	return func(p *state.Pipeline) {
		p.PendingTraining = &state.PendingTraining{Trigger: trigger, Until: until, Because: because, Since: noon}
	}
}

// asked are the events of the tables, all at noon.
func header(id string) events.Header { return events.Header{ID: id, Pipeline: "flights", Time: noon} }

func validated(id string) func(*state.Pipeline) decision {
	return func(p *state.Pipeline) decision {
		return onValidated(events.Event[events.DatasetValidated]{Header: header(id), Data: events.DatasetValidated{Snapshot: newSnapshot, Added: &events.DatasetPartition{Rows: 1}}}, p)
	}
}

func removed(p *state.Pipeline) decision {
	return onValidated(events.Event[events.DatasetValidated]{Header: header("e-new"), Data: events.DatasetValidated{Snapshot: newSnapshot, Removed: "x"}}, p)
}

func requested(d events.TrainingRequested) func(*state.Pipeline) decision {
	return func(p *state.Pipeline) decision {
		return onRequest(events.Event[events.TrainingRequested]{Header: header("e-request"), Data: d}, p)
	}
}

func ticked(action string, at time.Time) func(*state.Pipeline) decision {
	return func(p *state.Pipeline) decision {
		h := header("e-tick")
		h.Time = at
		return onTick(events.Event[events.ScheduleTicked]{Header: h, Data: events.ScheduleTicked{Schedule: "nightly", Action: action}}, p)
	}
}

func drifted(version int, action string) func(*state.Pipeline) decision {
	return func(p *state.Pipeline) decision {
		d := events.DriftDetected{DriftCheck: events.DriftCheck{Version: version, Reason: "temp moved"}, Action: action}
		return onDrift(events.Event[events.DriftDetected]{Header: header("e-drift"), Data: d}, p)
	}
}

func rejected(run string) func(*state.Pipeline) decision {
	return func(p *state.Pipeline) decision {
		return onRejected(events.Event[events.ModelRejected]{Header: header("e-rejected"), Data: events.ModelRejected{Evaluation: events.Evaluation{Version: 2, Run: run}}}, p)
	}
}

func ended(p *state.Pipeline) decision {
	return onEnd(events.Event[events.TrainingCompleted]{Header: header("e-end")}, p)
}

// answer is a decision as the tables have it.
type answer struct {
	train, reason string // of a plan: the trigger
	snapshot      string
	params        map[string]any
	skip          string // its trigger
	waits         bool
	until         time.Time
	causes        []string
	asked         string
	nothing       string
	later         string
}

func answerOf(d decision) answer {
	o := answer{nothing: d.nothing, later: d.later}
	if d.train != nil {
		o.train, o.reason, o.params, o.causes, o.snapshot = d.train.trigger, d.train.reason, d.train.params, d.train.causes, d.train.snapshot.Digest
		o.asked = d.train.asked
	}
	if d.skip != nil {
		o.skip, o.reason, o.waits, o.causes = d.skip.Trigger, d.skip.Reason, d.skip.Waits, d.skip.Causes
		o.until, _ = time.Parse(time.RFC3339Nano, d.skip.Until)
	}
	return o
}

func TestDecide(t *testing.T) {
	t.Parallel()
	minute := noon.Add(time.Minute)
	for _, c := range []struct {
		name  string
		ask   func(*state.Pipeline) decision
		state *state.Pipeline
		want  answer
	}{
		// A new snapshot.
		{
			"an upload is trained on", validated("e-new"), pipeline(),
			answer{train: "upload", reason: "snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot},
		},
		{
			"the first upload", validated("e-new"), pipeline(firstRun),
			answer{train: "upload", reason: "snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot},
		},
		{
			"an upload for which there is a newer one", validated("e-older"), pipeline(),
			answer{nothing: "snapshot bbbbbbbbbbbb is not the newest any more"},
		},
		{
			"a removed partition", removed, pipeline(),
			answer{nothing: "a partition left and none came: snapshot bbbbbbbbbbbb has nothing new to train on"},
		},
		{"a pipeline that does not train", validated("e-new"), pipeline(without), answer{nothing: trainsNone}},
		{
			"a pipeline that does not train on uploads", validated("e-new"), pipeline(onNothing),
			answer{nothing: "new data starts no training by itself: train.on is empty"},
		},
		{
			"too few rows", validated("e-new"), pipeline(afterRows(78000)),
			answer{skip: "upload", reason: "27,004 of 78,000 new rows"},
		},
		{
			"enough rows", validated("e-new"), pipeline(afterRows(27004)),
			answer{train: "upload", reason: "snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot},
		},
		{
			"a pause is waited for", validated("e-new"), pipeline(afterQuiet(10 * time.Minute)),
			answer{
				skip: "upload", reason: "27,004 new rows; waits until no upload has come for 10m", waits: true,
				until: noon.Add(10 * time.Minute), causes: []string{"e-new"},
			},
		},
		{
			"rows or a pause", validated("e-new"), pipeline(afterRows(78000), afterQuiet(10*time.Minute)),
			answer{
				skip: "upload", reason: "27,004 of 78,000 new rows; waits for them, or until no upload has come for 10m", waits: true,
				until: noon.Add(10 * time.Minute), causes: []string{"e-new"},
			},
		},
		{
			"drift had waited for data", validated("e-new"), pipeline(onNothing, afterRows(78000), pending("drift", time.Time{}, "e-drift")),
			answer{
				train: "drift", reason: "drift had waited for data: snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot,
				causes: []string{"e-drift"},
			},
		},
		{
			"an upload had waited for a pause", validated("e-new"), pipeline(afterQuiet(time.Minute), pending("upload", noon, "e-older")),
			answer{skip: "upload", reason: "27,004 new rows; waits until no upload has come for 1m", waits: true, until: minute, causes: []string{"e-new"}},
		},
		{
			"an upload during a run", validated("e-new"), pipeline(running(oldSnapshot)),
			answer{
				skip: "upload", reason: "run r2 is under way; snapshot bbbbbbbbbbbb is considered when it ends", waits: true, until: minute,
				causes: []string{"e-new"},
			},
		},
		{
			"what drift waited for comes during a run", validated("e-new"), pipeline(running(oldSnapshot), pending("drift", time.Time{}, "e-drift")),
			answer{
				skip: "drift", reason: "run r2 is under way; snapshot bbbbbbbbbbbb is considered when it ends", waits: true, until: minute,
				causes: []string{"e-drift"},
			},
		},

		// A person's request.
		{
			"a request", requested(events.TrainingRequested{By: "ada", Reason: "new idea", Params: map[string]any{"rate": 0.2}}),
			pipeline(oldData, afterRows(78000)),
			answer{train: "request", reason: "asked for by ada: new idea", snapshot: oldSnapshot, params: map[string]any{"rate": 0.2}},
		},
		{
			"a request settles what waits", requested(events.TrainingRequested{}), pipeline(pending("drift", time.Time{}, "e-drift")),
			answer{train: "request", reason: "asked for", snapshot: newSnapshot, causes: []string{"e-drift"}},
		},
		{
			"a request on data that drift has seen", requested(events.TrainingRequested{}), pipeline(oldData, pending("drift", time.Time{}, "e-drift")),
			answer{train: "request", reason: "asked for", snapshot: oldSnapshot},
		},
		{
			"a request for an older snapshot", requested(events.TrainingRequested{Snapshot: "000000000000"}), pipeline(),
			answer{train: "request", reason: "asked for", snapshot: oldSnapshot},
		},
		{
			"a request for an unknown snapshot", requested(events.TrainingRequested{Snapshot: "123456"}), pipeline(),
			answer{skip: "request", reason: "snapshot 123456 is not known; the newest is bbbbbbbbbbbb"},
		},
		{
			"a request for a snapshot by too little of its name", requested(events.TrainingRequested{Snapshot: "b"}), pipeline(),
			answer{skip: "request", reason: "snapshot b is not known; the newest is bbbbbbbbbbbb"},
		},
		{
			"a request before there is data", requested(events.TrainingRequested{}), pipeline(noData),
			answer{skip: "request", reason: "there is no data yet; the first is trained on", waits: true, causes: []string{"e-request"}},
		},
		{
			"a request with a parameter that is not declared", requested(events.TrainingRequested{Params: map[string]any{"rat": 0.2}}), pipeline(),
			answer{skip: "request", reason: `the parameter "rat" is not one of train.params: did you mean "rate"?`},
		},
		{
			"a request with parameters before there is data", requested(events.TrainingRequested{Params: map[string]any{"rate": 1}}), pipeline(noData),
			answer{skip: "request", reason: "there is no data yet"},
		},
		{"a request to a pipeline that does not train", requested(events.TrainingRequested{}), pipeline(without), answer{skip: "request", reason: trainsNone}},
		{"a request during a run", requested(events.TrainingRequested{}), pipeline(running(oldSnapshot)), answer{later: "run r2 is under way"}},

		// Schedules.
		{
			"a schedule", ticked("retrain", noon), pipeline(onNothing, afterRows(78000)),
			answer{train: "schedule", reason: "schedule nightly is due", snapshot: newSnapshot},
		},
		{"a schedule before there is data", ticked("retrain", noon), pipeline(noData), answer{skip: "schedule", reason: "there is no data yet"}},
		{"a schedule during a run", ticked("retrain", noon), pipeline(running(oldSnapshot)), answer{skip: "schedule", reason: "run r2 is under way"}},
		{"a schedule of a pipeline that does not train", ticked("retrain", noon), pipeline(without), answer{nothing: trainsNone}},

		// Drift.
		{
			"drift with new data", drifted(1, "retrain"), pipeline(onNothing, afterRows(78000)),
			answer{train: "drift", reason: "drift of v1: temp moved", snapshot: newSnapshot, asked: "e-drift"},
		},
		{
			"drift without new data", drifted(1, "retrain"), pipeline(oldData),
			answer{skip: "drift", reason: "nothing new to train on since v1; waits for the next data", waits: true, causes: []string{"e-drift"}},
		},
		{
			"drift without any data", drifted(1, "retrain"), pipeline(noData),
			answer{skip: "drift", reason: "there is no data yet to train on", waits: true, causes: []string{"e-drift"}},
		},
		{"drift that is only told", drifted(1, "notify"), pipeline(), answer{nothing: "monitor.on_drift is notify"}},
		{"drift of a model before the champion", drifted(3, "retrain"), pipeline(), answer{nothing: "v3 is not the champion any more"}},
		{"drift of a pipeline that does not train", drifted(1, "retrain"), pipeline(without), answer{nothing: trainsNone}},
		{
			"drift while a run may cure it", drifted(1, "retrain"), pipeline(running(newSnapshot)),
			answer{skip: "drift", reason: "run r2 is under way, on newer data than v1's"},
		},
		{
			"drift while a run on the same data is under way", drifted(1, "retrain"), pipeline(running(oldSnapshot)),
			answer{skip: "drift", reason: "run r2 is under way", waits: true, until: minute, causes: []string{"e-drift"}},
		},

		// The end of a run, and ticks.
		{"a run ends and nothing waits", ended, pipeline(), answer{nothing: "no training waits"}},
		{
			"a run ends and an upload waits", ended, pipeline(pending("upload", minute, "e-older", "e-new")),
			answer{train: "upload", reason: "snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot, causes: []string{"e-older", "e-new"}},
		},
		{
			"a run ends and drift waits", ended, pipeline(onNothing, pending("drift", minute, "e-drift")),
			answer{
				train: "drift", reason: "drift had waited for data: snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot,
				causes: []string{"e-drift"},
			},
		},
		{
			"a run ends, and drift has nothing new", ended, pipeline(oldData, pending("drift", time.Time{}, "e-drift")),
			answer{nothing: "nothing new to train on; drift waits for the next data"},
		},
		{
			"drift that has nothing new needs no more ticks", ended, pipeline(failed(newSnapshot), pending("drift", noon, "e-drift")),
			answer{skip: "drift", reason: "nothing new to train on; drift waits for the next data", waits: true, causes: []string{"e-drift"}},
		},
		{
			"a run ends while another is under way", ended, pipeline(running(oldSnapshot), pending("drift", minute, "e-drift")),
			answer{nothing: "drift waits while run r2 is under way"},
		},
		{
			"a run ends, and the upload is too small", ended, pipeline(afterRows(78000), pending("upload", minute, "e-new")),
			answer{skip: "upload", reason: "27,004 of 78,000 new rows", waits: true, causes: []string{"e-new"}},
		},
		{
			"the pause is over", ticked("tick", noon.Add(10*time.Minute)), pipeline(afterQuiet(10*time.Minute), pending("upload", noon.Add(10*time.Minute), "e-new")),
			answer{train: "upload", reason: "snapshot bbbbbbbbbbbb has 27,004 new rows", snapshot: newSnapshot, causes: []string{"e-new"}},
		},
		{
			"the pause is not over", ticked("tick", noon.Add(9*time.Minute)), pipeline(afterQuiet(10*time.Minute), pending("upload", noon.Add(10*time.Minute), "e-new")),
			answer{nothing: "27,004 new rows; waits until no upload has come for 10m"},
		},
		{
			"the pause is not over for a clock that was set back", ticked("tick", noon.Add(-48*time.Hour)), pipeline(afterQuiet(10*time.Minute), pending("upload", noon.Add(10*time.Minute), "e-new")),
			answer{nothing: "27,004 new rows; waits until no upload has come for 10m"},
		},
		{"a tick and nothing waits", ticked("tick", noon), pipeline(), answer{nothing: "no training waits"}},

		// A rejected model.
		{"a model of an upload is rejected", rejected("r1"), pipeline(), answer{nothing: "a rejected model leads to no other training, unless it was to cure drift"}},
		{
			"a model that was to cure drift is rejected", rejected("r2"), pipeline(driftRun(newSnapshot)),
			answer{skip: "drift", reason: "v2, which drift had led to, was rejected; waits for the next data", waits: true, causes: []string{"e-rejected"}},
		},
		{
			"a model that was to cure drift is rejected when newer data is there", rejected("r2"), pipeline(driftRun(oldSnapshot)),
			answer{
				train: "drift", reason: "v2, which drift had led to, was rejected, and there is newer data: snapshot bbbbbbbbbbbb has 27,004 new rows",
				snapshot: newSnapshot, asked: "e-rejected",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := c.state.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got := answerOf(c.ask(c.state))
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("the decision differs (-want +got):\n%s", diff)
			}
			after, err := c.state.Encode()
			if err != nil || string(before) != string(after) {
				t.Errorf("the decision has changed the state (%v)", err)
			}
		})
	}
}

func driftRun(snapshot string) func(*state.Pipeline) {
	return func(p *state.Pipeline) {
		p.Runs = append(p.Runs, &state.Run{
			TrainingStarted: events.TrainingStarted{Run: "r2", Snapshot: snapshot, Trigger: "drift"}, Status: state.RunCompleted, Version: 2,
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	base := func() ingredients {
		return ingredients{
			config: "c", code: "d", split: "1", params: map[string]any{"a": 1, "b": []any{"x"}},
			partitions: []events.DatasetPartition{{Data: events.Ref{Digest: "p1"}}, {Data: events.Ref{Digest: "p2"}}},
		}
	}
	key := func(in ingredients) string {
		k, err := in.key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	want := key(base())
	if got := key(base()); got != want || len(got) != 64 {
		t.Errorf("the key is %q and then %q", want, got)
	}
	for name, change := range map[string]func(*ingredients){
		"config":               func(in *ingredients) { in.config = "cc" },
		"code":                 func(in *ingredients) { in.code = "" },
		"split":                func(in *ingredients) { in.split = "2" },
		"config moves to code": func(in *ingredients) { in.config, in.code = "cd", "" },
		"params":               func(in *ingredients) { in.params["a"] = 2 },
		"one partition less":   func(in *ingredients) { in.partitions = in.partitions[:1] },
		"the other order":      func(in *ingredients) { in.partitions[0], in.partitions[1] = in.partitions[1], in.partitions[0] },
	} {
		in := base()
		change(&in)
		if key(in) == want {
			t.Errorf("%s: the key is the same", name)
		}
	}
}

// A run that has failed does not prevent the same run again; one
// that gave a model does.
func TestFree(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 64)
	with := func(status ...state.RunStatus) *state.Pipeline {
		p := state.New("flights")
		for n, s := range status {
			k := again(key, n)
			p.Runs = append(p.Runs, &state.Run{TrainingStarted: events.TrainingStarted{Key: k, Run: runID(k)}, Status: s})
		}
		return p
	}
	for _, c := range []struct {
		name string
		p    *state.Pipeline
		key  string
		twin int // index of the run, -1 for none
	}{
		{"none", with(), key, -1},
		{"failed", with(state.RunFailed), again(key, 1), -1},
		{"failed twice", with(state.RunFailed, state.RunFailed), again(key, 2), -1},
		{"completed", with(state.RunCompleted), "", 0},
		{"failed, then under way", with(state.RunFailed, state.RunStarted), "", 1},
	} {
		got, twin := free(c.p, key)
		if got != c.key || (twin == nil) != (c.twin < 0) || twin != nil && twin != c.p.Runs[c.twin] {
			t.Errorf("%s: got key %q and run %v", c.name, got, twin)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	twin := &state.Run{TrainingStarted: events.TrainingStarted{Run: "r2"}, Status: state.RunCompleted, Version: 2}
	with := func(standing state.ModelState, w *state.PendingTraining) *state.Pipeline {
		p := state.New("flights")
		p.Models = []*state.Model{{Version: 1}, {Version: 2, State: standing}}
		p.PendingTraining = w
		return p
	}
	const reason = "the same config, data, parameters and code as run r2, which gave v2"
	for _, c := range []struct {
		name string
		p    *state.Pipeline
		plan plan
		want answer
	}{
		{"a request", with(state.Champion, nil), plan{trigger: "request"}, answer{skip: "request", reason: reason}},
		{"drift, and the model is coming", with(state.Canary, nil), plan{trigger: "drift", waits: true}, answer{skip: "drift", reason: reason}},
		{
			"drift, and the model did not help", with(state.Rejected, nil), plan{trigger: "drift", waits: true, causes: []string{"e"}},
			answer{skip: "drift", reason: reason, waits: true, causes: []string{"e"}},
		},
		{
			"drift that nothing had waited for", with(state.Rejected, nil), plan{trigger: "drift", waits: true, asked: "e-drift"},
			answer{skip: "drift", reason: reason, waits: true, causes: []string{"e-drift"}},
		},
		{"an upload that waits, at the end of a run", with(state.Champion, &state.PendingTraining{Trigger: "upload"}), plan{trigger: "upload", quiet: true}, answer{nothing: reason}},
		{
			"an upload that waits, at a tick", with(state.Champion, &state.PendingTraining{Trigger: "upload", Until: noon}), plan{trigger: "upload", quiet: true},
			answer{skip: "upload", reason: reason, waits: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, answerOf(same(c.p, &c.plan, twin)), cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("the decision differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 27004: "27,004", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := humanize.Int(n); got != want {
			t.Errorf("humanize.Int(%d) is %s, want %s", n, got, want)
		}
	}
}
