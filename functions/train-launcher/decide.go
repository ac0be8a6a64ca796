package trainlauncher

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// What asks for training.
const (
	triggerUpload   = "upload"
	triggerDrift    = "drift"
	triggerSchedule = "schedule"
	triggerRequest  = "request"
)

// decision is what follows from an event and a state; exactly one of train,
// skip, nothing and later is set.
type decision struct {
	// train is what to train, as far as it is known without data and code.
	train *plan
	// skip is emitted when nothing is trained.
	skip *events.TrainingSkipped
	// nothing is why there is nothing to emit.
	nothing string
	// later is what is waited for by delivering the event again, after a time.
	later string
	after time.Duration
}

// When an event that waits is decided again: for the end of a run, and for the
// start of another one.
const (
	afterRun   = 2 * time.Second
	afterStart = 200 * time.Millisecond
)

// plan is a training that is wanted.
type plan struct {
	trigger, reason string
	// snapshot is the one to train on.
	snapshot *state.Snapshot
	// params replace those of the pipeline one by one.
	params map[string]any
	// causes are the ids of events that led here beside the handled one.
	causes []string
	// waits keeps the training pending if there is nothing new to train on.
	waits bool
	// asked is the id of the handled event if it asks for the training itself,
	// rather than bringing the data for what was pending.
	asked string
	// quiet suppresses training.skipped in that case, unless it changes the
	// pending training.
	quiet bool
}

// pend keeps the plan's training pending instead of d, until the next data.
func (pl *plan) pend(d decision) decision {
	causes := slices.Clone(pl.causes)
	if pl.asked != "" {
		causes = append(causes, pl.asked)
	}
	return d.waiting(time.Time{}, causes...)
}

func nothing(format string, args ...any) decision {
	return decision{nothing: fmt.Sprintf(format, args...)}
}

func skip(trigger, format string, args ...any) decision {
	return decision{skip: &events.TrainingSkipped{Trigger: trigger, Reason: fmt.Sprintf(format, args...)}}
}

// waiting keeps the skipped training pending, with the causes that led to it.
// It is decided on again at a time, or with the next data if the time is zero.
func (d decision) waiting(until time.Time, causes ...string) decision {
	d.skip.Waits, d.skip.Causes = true, causes
	if !until.IsZero() {
		d.skip.Until = until.UTC().Format(time.RFC3339Nano)
	}
	return d
}

// reconcileAfter is when training that waits for a run is decided on again, in
// case the run ended before the pending training was in the log.
const reconcileAfter = time.Minute

// underWay is the run that has started and not ended, nil if none has.
func underWay(p *state.Pipeline) *state.Run {
	for _, r := range slices.Backward(p.Runs) {
		if r.Status == state.RunStarted {
			return r
		}
	}
	return nil
}

// newest is the current snapshot, nil before the first.
func newest(p *state.Pipeline) *state.Snapshot {
	if n := len(p.Dataset.Snapshots); n > 0 {
		return p.Dataset.Snapshots[n-1]
	}
	return nil
}

// trained tells whether the newest run was on the newest snapshot.
func trained(p *state.Pipeline) bool {
	n := len(p.Runs)
	return n > 0 && p.Runs[n-1].Snapshot == p.Dataset.Snapshot
}

func trains(p *state.Pipeline) bool { return p.Config != nil && p.Config.Trains() }

const trainsNone = "the pipeline trains no models itself: it has no section train"

// onValidated decides what a new snapshot leads to: the training that was
// waited with, or one of its own.
func onValidated(e events.Event[events.DatasetValidated], p *state.Pipeline) decision {
	pending := p.PendingTraining
	waits := pending != nil && pending.Trigger != triggerUpload
	switch {
	case !trains(p):
		return nothing(trainsNone)
	case p.Dataset.Event != e.ID:
		return nothing("snapshot %s is not the newest any more", events.Short(e.Data.Snapshot))
	case e.Data.Added == nil:
		return nothing("a partition left and none came: snapshot %s has nothing new to train on", events.Short(e.Data.Snapshot))
	case !waits && !p.Config.Spec.Train.OnUpload():
		return nothing("new data starts no training by itself: train.on is empty")
	}
	trigger, causes := triggerUpload, []string{e.ID}
	if waits {
		trigger, causes = pending.Trigger, pending.Because
	}
	if p.Reingesting() {
		return skip(trigger, "kept uploads are being read again under the new contract: %d of %d are left", p.Reingest.Left, p.Reingest.Files).
			waiting(e.Time.Add(reconcileAfter), causes...)
	}
	if run := underWay(p); run != nil {
		return skip(trigger, "run %s is under way; snapshot %s is considered when it ends", run.Run, events.Short(e.Data.Snapshot)).
			waiting(e.Time.Add(reconcileAfter), causes...)
	}
	if waits {
		return decision{train: planPending(p)}
	}
	if d, ok := enough(e.Time, p); !ok {
		if d.skip.Waits {
			d.skip.Causes = causes
		}
		return d
	}
	return decision{train: &plan{trigger: triggerUpload, reason: newData(p), snapshot: newest(p), causes: because(p)}}
}

// enough holds what has come since the last run against train.after. The
// decision is a skip, which stays pending if it waits for a pause in the uploads.
func enough(now time.Time, p *state.Pipeline) (decision, bool) {
	after, rows := p.Config.Spec.Train.After, p.Dataset.NewRows
	quiet := p.Dataset.Added.Add(after.Quiet.Std())
	switch {
	case after.Rows == 0 && after.Quiet == 0,
		after.Rows > 0 && rows >= after.Rows,
		after.Quiet > 0 && !now.Before(quiet):
		return decision{}, true
	case after.Quiet == 0:
		return skip(triggerUpload, "%s of %s new rows", humanize.Int(rows), humanize.Int(after.Rows)), false
	case after.Rows == 0:
		return skip(triggerUpload, "%s new rows; waits until no upload has come for %s", humanize.Int(rows), after.Quiet).waiting(quiet), false
	}
	return skip(triggerUpload, "%s of %s new rows; waits for them, or until no upload has come for %s", humanize.Int(rows), humanize.Int(after.Rows), after.Quiet).
		waiting(quiet), false
}

// planPending plans the pending training, now that there is data.
func planPending(p *state.Pipeline) *plan {
	pending := p.PendingTraining
	return &plan{
		trigger: pending.Trigger, reason: fmt.Sprintf("%s had waited for data: %s", pending.Trigger, newData(p)),
		snapshot: newest(p), causes: pending.Because, waits: true,
	}
}

// because returns the causes of the pending training, which a run on new data
// settles whatever it was started by.
func because(p *state.Pipeline) []string {
	if p.PendingTraining == nil {
		return nil
	}
	return p.PendingTraining.Because
}

func newData(p *state.Pipeline) string {
	return fmt.Sprintf("snapshot %s has %s new rows", events.Short(p.Dataset.Snapshot), humanize.Int(p.Dataset.NewRows))
}

// onRequest decides what a person's request leads to. It is always answered.
func onRequest(e events.Event[events.TrainingRequested], p *state.Pipeline) decision {
	switch {
	case !trains(p):
		return skip(triggerRequest, trainsNone)
	case p.Config.Spec.Train.CheckParams(e.Data.Params) != nil:
		return skip(triggerRequest, "%v", p.Config.Spec.Train.CheckParams(e.Data.Params))
	case newest(p) == nil && e.Data.Snapshot == "" && len(e.Data.Params) == 0:
		return skip(triggerRequest, "there is no data yet; the first is trained on").waiting(time.Time{}, e.ID)
	case newest(p) == nil:
		return skip(triggerRequest, "there is no data yet")
	}
	snapshot := newest(p)
	if want := e.Data.Snapshot; want != "" {
		if snapshot = findSnapshot(p, want); snapshot == nil {
			return skip(triggerRequest, "snapshot %s is not known; the newest is %s", want, events.Short(p.Dataset.Snapshot))
		}
	}
	if run := underWay(p); run != nil {
		return decision{later: fmt.Sprintf("run %s is under way", run.Run), after: afterRun}
	}
	reason := "asked for"
	if e.Data.By != "" {
		reason += " by " + e.Data.By
	}
	if e.Data.Reason != "" {
		reason += ": " + e.Data.Reason
	}
	return decision{train: &plan{trigger: triggerRequest, reason: reason, snapshot: snapshot, params: e.Data.Params, causes: settled(p, snapshot)}}
}

// settled returns the causes of the pending training that a run on the snapshot
// settles: nil if the snapshot has nothing new.
func settled(p *state.Pipeline, snapshot *state.Snapshot) []string {
	if trained(p) || snapshot.Digest != p.Dataset.Snapshot {
		return nil
	}
	return because(p)
}

// minDigits is how much of a digest names a snapshot.
const minDigits = 6

// findSnapshot finds a snapshot by its digest or the beginning of it.
func findSnapshot(p *state.Pipeline, want string) *state.Snapshot {
	short := events.Short(want)
	for _, s := range slices.Backward(p.Dataset.Snapshots) {
		if s.Digest == want || len(short) >= minDigits && len(short) == len(want) && events.Short(s.Digest)[:len(short)] == short {
			return s
		}
	}
	return nil
}

// onTick decides what a schedule leads to. It keeps nothing pending: the next
// tick comes by itself, and a schedule means that not every upload is trained on.
func onTick(e events.Event[events.ScheduleTicked], p *state.Pipeline) decision {
	if e.Data.Action != "retrain" {
		return resume(e.Time, p)
	}
	run := underWay(p)
	switch {
	case !trains(p):
		return nothing(trainsNone)
	case newest(p) == nil:
		return skip(triggerSchedule, "there is no data yet")
	case run != nil:
		return skip(triggerSchedule, "run %s is under way", run.Run)
	}
	return decision{train: &plan{
		trigger: triggerSchedule, reason: fmt.Sprintf("schedule %s is due", e.Data.Schedule),
		snapshot: newest(p), causes: settled(p, newest(p)),
	}}
}

// onDrift decides what drift leads to: a training if there is data that the
// champion has not seen, else pending training.
func onDrift(e events.Event[events.DriftDetected], p *state.Pipeline) decision {
	champion := p.ChampionModel()
	switch {
	case !trains(p):
		return nothing(trainsNone)
	case e.Data.Action != "retrain":
		return nothing("monitor.on_drift is %s", cmp.Or(e.Data.Action, "not retrain"))
	case champion == nil || champion.Version != e.Data.Version:
		return nothing("v%d is not the champion any more", e.Data.Version)
	}
	run := underWay(p)
	switch {
	case newest(p) == nil:
		return skip(triggerDrift, "there is no data yet to train on").waiting(time.Time{}, e.ID)
	case run != nil && run.Snapshot != champion.Snapshot:
		return skip(triggerDrift, "run %s is under way, on newer data than v%d's", run.Run, champion.Version)
	case run != nil:
		return skip(triggerDrift, "run %s is under way", run.Run).waiting(e.Time.Add(reconcileAfter), e.ID)
	case champion.Snapshot == p.Dataset.Snapshot:
		return skip(triggerDrift, "nothing new to train on since v%d; waits for the next data", champion.Version).waiting(time.Time{}, e.ID)
	}
	return decision{train: &plan{
		trigger: triggerDrift, reason: fmt.Sprintf("drift of v%d: %s", champion.Version, e.Data.Reason),
		snapshot: newest(p), causes: because(p), waits: true, asked: e.ID,
	}}
}

// onRejected keeps a training pending after its model was rejected: the drift
// that it was started for is still there.
func onRejected(e events.Event[events.ModelRejected], p *state.Pipeline) decision {
	run := p.Run(e.Data.Run)
	switch {
	case !trains(p):
		return nothing(trainsNone)
	case run == nil || run.Trigger != triggerDrift:
		return nothing("a rejected model leads to no other training, unless it was to cure drift")
	case run.Snapshot == p.Dataset.Snapshot:
		return skip(triggerDrift, "v%d, which drift had led to, was rejected; waits for the next data", e.Data.Version).waiting(time.Time{}, e.ID)
	}
	if next := underWay(p); next != nil {
		return skip(triggerDrift, "v%d, which drift had led to, was rejected; run %s is under way", e.Data.Version, next.Run).
			waiting(e.Time.Add(reconcileAfter), e.ID)
	}
	return decision{train: &plan{
		trigger: triggerDrift, reason: fmt.Sprintf("v%d, which drift had led to, was rejected, and there is newer data: %s", e.Data.Version, newData(p)),
		snapshot: newest(p), causes: because(p), waits: true, asked: e.ID,
	}}
}

// resume decides on the pending training at the end of a run or at a tick. It
// announces only what changes the state.
func resume(now time.Time, p *state.Pipeline) decision {
	pending, run := p.PendingTraining, underWay(p)
	switch {
	case pending == nil:
		return nothing("no training waits")
	case !trains(p):
		return restWith(p, trainsNone)
	case run != nil:
		return nothing("%s waits while run %s is under way", pending.Trigger, run.Run)
	case p.Reingesting():
		return nothing("%s waits while kept uploads are read again", pending.Trigger)
	case newest(p) == nil || trained(p):
		return restWith(p, "nothing new to train on; %s waits for the next data", pending.Trigger)
	}
	train := planPending(p)
	if pending.Trigger == triggerUpload {
		if d, ok := enough(now, p); !ok {
			return d.onlyIfNew(p)
		}
		train.reason = newData(p)
	}
	train.quiet = true
	return decision{train: train}
}

// restWith lets the pending training wait for data and no longer for a time, so
// that no ticks are logged for it.
func restWith(p *state.Pipeline, format string, args ...any) decision {
	pending := p.PendingTraining
	if pending.Until.IsZero() {
		return nothing(format, args...)
	}
	return skip(pending.Trigger, format, args...).waiting(time.Time{}, pending.Because...)
}

// onlyIfNew emits a skip only if it moves the pending training's time.
func (d decision) onlyIfNew(p *state.Pipeline) decision {
	until, _ := time.Parse(time.RFC3339Nano, d.skip.Until)
	if until.Equal(p.PendingTraining.Until) {
		return nothing("%s", d.skip.Reason)
	}
	d.skip.Waits, d.skip.Causes = true, p.PendingTraining.Because
	return d
}
