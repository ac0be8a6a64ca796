package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/archive"
	"millrace.dev/functions/gateway/notification"
	"millrace.dev/shared/access"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/cloudevent"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// take appends what arrived if all of it is valid, and nothing otherwise. A
// poison error has the reasons.
func (f *F) take(ctx context.Context, as []arrival) (outcome, error) {
	var errs []error
	status := 0
	plans := make([]plan, len(as))
	for i, a := range as {
		p, err := f.plan(ctx, a)
		if err != nil && !poison(err) {
			return "", err
		}
		if err != nil {
			if len(as) > 1 {
				err = fmt.Errorf("event %d: %w", i+1, err)
			}
			errs = append(errs, err)
			status = errorOf(err).Status
		}
		plans[i] = p
	}
	if len(errs) == 1 {
		return "", errs[0]
	}
	if len(errs) > 0 {
		return "", httperror.New(status, "%v", errors.Join(errs...))
	}
	out := unwanted
	for _, p := range plans {
		o, err := p(ctx)
		if err != nil {
			return "", err
		}
		if out == unwanted || o == taken {
			out = o
		}
	}
	return out, nil
}

// plan appends one valid arrival.
type plan func(context.Context) (outcome, error)

func ignore(context.Context) (outcome, error) { return unwanted, nil }

func (f *F) plan(ctx context.Context, a arrival) (plan, error) {
	if a.notice != nil {
		return f.planNotices([]notification.Notice{*a.notice}), nil
	}
	e := *a.event
	if e.Attributes["via"] == "log" {
		return ignore, nil // it came from the log
	}
	if len(e.Data) > events.MaxDataBytes {
		return nil, httperror.New(http.StatusRequestEntityTooLarge, "the data of %s has %d bytes; an event carries at most %d", e.Type, len(e.Data), events.MaxDataBytes).
			Try("put the bytes where they can be referred to, or PUT them to /uploads")
	}
	if err := errors.Join(checkHeader(&e.Header), cloudevent.Check(e)); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	if ns, ok, err := notification.ParseEvent(e); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	} else if ok {
		return f.planNotices(ns), nil
	}
	switch {
	case e.Type == pingType:
		return f.planPing(ctx, e)
	case strings.HasPrefix(e.Type, events.TypePrefix):
		return f.planOwn(ctx, e)
	}
	return f.planForeign(ctx, e)
}

func (f *F) planNotices(ns []notification.Notice) plan {
	return func(ctx context.Context) (outcome, error) {
		out := unwanted
		for _, n := range ns {
			o, err := f.emitNotice(ctx, n)
			if err != nil {
				return "", err
			}
			if out == unwanted || o == taken {
				out = o
			}
		}
		return out, nil
	}
}

const (
	maxAttributes     = 64
	maxAttributeBytes = 32 << 10
)

// steering are attributes that control delivery, time and place in the log, or
// say who caused an event. They are not trusted from outside and are removed.
var steering = []string{
	"via", events.AttributeRecordedTime, "knativebrokerttl", function.AttributeSequence, attributeSequence, archive.PlaceAttribute, archive.CommitAttribute,
	events.AttributeTarget, events.AttributeRetryOf, events.AttributeOriginal,
	access.AttributeKind, access.AttributeName,
}

// checkHeader removes the steering attributes, and bounds the others.
func checkHeader(h *events.Header) error {
	total := len(h.Subject)
	for _, name := range steering {
		delete(h.Attributes, name)
	}
	for k, v := range h.Extensions() {
		total += len(k) + len(v)
	}
	var errs []error
	if n := len(h.Attributes); n > maxAttributes {
		errs = append(errs, fmt.Errorf("the event has %d extension attributes; at most %d are taken", n, maxAttributes))
	}
	if total > maxAttributeBytes {
		errs = append(errs, fmt.Errorf("the event's attributes have %d bytes; at most %d are taken", total, maxAttributeBytes))
	}
	if strings.HasPrefix(h.Source, events.Source("")) && !strings.HasPrefix(h.Type, events.TypePrefix) {
		errs = append(errs, fmt.Errorf("source %q is Millrace's own", h.Source))
	}
	return errors.Join(errs...)
}

// planForeign takes an event of a foreign type unchanged.
func (f *F) planForeign(ctx context.Context, e events.Envelope) (plan, error) {
	if e.Pipeline != "" && e.Pipeline != events.NoPipeline {
		if _, err := f.pipeline(ctx, e.Pipeline); err != nil {
			return nil, err
		}
	}
	if err := may(ctx, access.Upload|access.Operate, e.Pipeline); err != nil {
		return nil, err
	}
	return f.asItIs(e), nil
}

func (f *F) asItIs(e events.Envelope) plan {
	return func(ctx context.Context) (outcome, error) {
		if by := causedBy(ctx); by != nil {
			e.Attributes = maps.Clone(e.Attributes)
			if e.Attributes == nil {
				e.Attributes = map[string]string{}
			}
			maps.Copy(e.Attributes, by)
		}
		return outcomeOf(f.deps.Log.AppendForeign(ctx, e))
	}
}

func outcomeOf(done eventlog.Appended, err error) (outcome, error) {
	if done.Duplicate {
		return duplicate, err
	}
	return taken, err
}

// planOwn takes an event of one of Millrace's types.
func (f *F) planOwn(ctx context.Context, e events.Envelope) (plan, error) {
	t, ok := events.Lookup(e.Type)
	if !ok || !t.Foreign {
		return nil, notTaken(e.Type, ok)
	}
	data, err := events.DecodeData(e)
	if err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	if tick, ok := data.(events.ScheduleTicked); ok {
		return f.planTick(ctx, e, tick)
	}
	var mistakes []error
	if err := data.Validate(); err != nil {
		mistakes = append(mistakes, fmt.Errorf("data of %s: %w", e.Type, err))
	}
	if e.Pipeline == "" {
		e.Pipeline = pipelineIn(e.Data)
	}
	switch d := data.(type) {
	case events.ObjectUploaded:
		if !d.Content.IsZero() {
			mistakes = append(mistakes, errors.New("content is set by the gateway; PUT the bytes to /uploads"))
		}
		return f.planObject(e, d.Object, false, mistakes)
	case events.ObjectRemoved:
		return f.planObject(e, d.Object, true, mistakes)
	}
	if err := mayDecide(ctx, e.Type, e.Pipeline); err != nil {
		return nil, err
	}
	if e.Pipeline == "" || e.Pipeline == events.NoPipeline {
		mistakes = append(mistakes, errors.New("attribute pipeline is missing: it says which pipeline the event belongs to"))
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	p, err := f.pipeline(ctx, e.Pipeline)
	if err != nil {
		return nil, err
	}
	if own, ok := data.(events.Originated); ok {
		return f.planOriginated(p, e, own)
	}
	switch d := data.(type) {
	case events.ModelRegistered:
		if err := f.checkFiles(ctx, d.Model); err != nil {
			return nil, err
		}
	case events.DriftDetected:
		return f.planDrift(p, e, d)
	}
	return f.asItIs(e), nil
}

func notTaken(name string, known bool) error {
	var taken []string
	for _, t := range events.Catalogue() {
		if t.Foreign {
			taken = append(taken, t.Name)
		}
	}
	if known {
		return httperror.New(http.StatusBadRequest, "%s is emitted by Millrace itself and not taken from outside", name).Try("taken are: %s", list(taken))
	}
	p := httperror.New(http.StatusBadRequest, "there is no event type %.120q", name)
	if near := config.Nearest(name, taken); near != "" && near != name {
		return p.Try("did you mean %s?", near)
	}
	return p.Try("taken are: %s", list(taken))
}

// pipelineIn reads the pipeline from the data of a sender that cannot set
// attributes.
func pipelineIn(data json.RawMessage) string {
	var d struct {
		Pipeline string `json:"pipeline"`
	}
	if json.Unmarshal(data, &d) != nil {
		return ""
	}
	return d.Pipeline
}

// planObject treats an object event from outside as the notification it is.
func (f *F) planObject(e events.Envelope, o events.Object, removed bool, mistakes []error) (plan, error) {
	n := notification.Notice{Object: o, Removed: removed, By: "event", Name: e.Type, ID: e.Source + "\n" + e.ID}
	if err := n.Validate(); err != nil {
		mistakes = append(mistakes, err)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	return f.planNotices([]notification.Notice{n}), nil
}

// planDrift takes drift that another system has found. Its version must exist.
// The pipeline determines the action, and only drift-check sets which batches
// have been compared.
func (f *F) planDrift(p *state.Pipeline, e events.Envelope, d events.DriftDetected) (plan, error) {
	var mistakes []error
	if p.Model(d.Version) == nil {
		mistakes = append(mistakes, fmt.Errorf("the pipeline %s has no version %d", p.Name, d.Version))
	}
	if d.Last != "" {
		mistakes = append(mistakes, errors.New("last is set by drift-check: it marks the batches that need no further check"))
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	d.Action = p.Config.Spec.Monitor.OnDrift
	body, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	e.Data = body
	return f.asItIs(e), nil
}

// planOriginated takes the reports of a run's runner. It is logged under the
// run's own cause, so that the first end of a run wins, whichever part reports
// it. The run must exist, since an end cannot be taken back.
func (f *F) planOriginated(p *state.Pipeline, e events.Envelope, data events.Originated) (plan, error) {
	var id string
	switch d := data.(type) {
	case events.TrainingProgressed:
		id = d.Run
	case events.TrainingCompleted:
		id = d.Run
	case events.TrainingFailed:
		id = d.Run
	default:
		return nil, notTaken(e.Type, true)
	}
	run := p.Run(id)
	if run == nil {
		return nil, httperror.New(http.StatusNotFound, "the pipeline %s has no run %q", p.Name, id)
	}
	return func(ctx context.Context) (outcome, error) {
		parent, err := f.startOf(ctx, p.Name, run)
		if err != nil {
			return "", err
		}
		return outcomeOf(f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: p.Name, Function: Name, Parent: parent, Data: []events.Data{data}, Attributes: causedBy(ctx)}))
	}, nil
}

// startOf returns the header of the event that started the run.
func (f *F) startOf(ctx context.Context, pipeline string, run *state.Run) (events.Header, error) {
	function, cause := run.Origin()
	found, err := f.deps.Log.Record(ctx, pipeline, function, cause)
	if err != nil || len(found) == 0 {
		return events.Header{ID: run.Event}, err
	}
	return found[0].Header, nil
}

// checkFiles checks that a model's files are where evaluate reads them.
func (f *F) checkFiles(ctx context.Context, m events.Model) error {
	for _, file := range m.Files {
		r, err := f.deps.Artifacts.Open(ctx, file.Ref)
		if errors.Is(err, artifact.ErrNotFound) {
			return httperror.New(http.StatusUnprocessableEntity, "the model's file %q (%s) is not in the artifact store", file.Name, file.Short()).
				Try("PUT the file to /api/pipelines/<pipeline>/models/<name>, which registers it too")
		}
		if err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// pipeline returns the state of a configured pipeline.
func (f *F) pipeline(ctx context.Context, name string) (*state.Pipeline, error) {
	known, err := f.deps.Log.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(known, name) {
		return nil, noPipeline(name, known)
	}
	return f.deps.States.Load(ctx, name)
}
