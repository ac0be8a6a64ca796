package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/humanize"
)

// uploadLabels uploads the labels of April and starts the traffic of May.
func (d *demo) uploadLabels(ctx context.Context) (string, error) {
	if early, _, _ := d.journal.after(d.v1.after); slices.ContainsFunc(early, func(e events.Envelope) bool { return e.Type == (events.TrainingStarted{}).EventType() }) {
		return "", fmt.Errorf("a training started before the labels arrived")
	}
	file := filepath.Join(d.Dir, "data", "april-labels.parquet")
	if err := d.april.writeLabels(file, aprilPerRequest); err != nil {
		return "", err
	}
	d.live = send(context.WithoutCancel(ctx), d.client, d.may, 1, true, mayPerSecond)
	_, at, err := d.put(ctx, "flights-labels/2013-04.parquet", file)
	if err != nil {
		return "", err
	}
	d.labelled = at
	l, err := await[events.LabelsIngested](ctx, d.journal, at, nil)
	if err != nil {
		return "", err
	}
	if l.Data.Unmatched > 0 || l.Data.Matched != int64(d.april.Rows) {
		return "", fmt.Errorf("%d of %d labels matched no prediction: %s", l.Data.Unmatched, l.Data.Rows, l.Data.Note)
	}
	v, err := await(ctx, d.journal, l.Sequence, func(e events.Event[events.DatasetValidated]) bool { return e.Data.Added != nil })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("all %s matched their predictions, and with them April joins the dataset: %s", humanize.Count(l.Data.Matched, "label"), humanize.Count(v.Data.Rows, "row")), nil
}

// retrains waits for the training that drift causes.
func (d *demo) retrains(ctx context.Context) (string, error) {
	e, err := await[events.TrainingStarted](ctx, d.journal, d.labelled, nil)
	if err != nil {
		return "", err
	}
	switch {
	case e.Data.Trigger != "drift":
		return "", fmt.Errorf("training started because of %s instead of drift: %s", e.Data.Trigger, e.Data.Reason)
	case !slices.Contains(e.Data.Causes, d.drift):
		return "", fmt.Errorf("the training does not name the drift %s among its causes", d.drift)
	}
	d.v2 = version{run: e.Data.Run, after: e.Sequence}
	return "because of drift, not of the upload: " + started(e.Data) + below + e.Data.Reason, nil
}

// canary follows the second version through its steps under live traffic.
func (d *demo) canary(ctx context.Context) (string, error) {
	s, err := await(ctx, d.journal, d.v2.after, func(e events.Event[events.RolloutStarted]) bool { return e.Data.Version == d.v2.number })
	if err != nil {
		return "", err
	}
	if s.Data.Strategy != "canary" {
		return "", fmt.Errorf("the rollout is %s instead of a canary", s.Data.Strategy)
	}
	d.live.rate(canaryPerSecond)
	lines := []string{
		fmt.Sprintf("v%d beside v%d under live traffic, in steps of %s %%", d.v2.number, d.v1.number, percents(s.Data.Steps)),
		"starts with " + terminal.Weights(s.Data.Weights),
	}
	after := s.Sequence
	for range len(s.Data.Steps) - 2 {
		a, err := await(ctx, d.journal, after, func(e events.Event[events.RolloutAdvanced]) bool { return e.Data.Version == d.v2.number })
		if err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprintf("%s answered, %d failed, p95 %.1f ms: on to %s", humanize.Count(a.Data.Evidence.Requests, "request"), a.Data.Evidence.Errors,
			a.Data.Evidence.P95Ms, terminal.Weights(a.Data.Weights)))
		after = a.Sequence
	}
	return strings.Join(lines, below), nil
}

// percents formats the steps of a rollout: 10, 50, 100.
func percents(steps []float64) string {
	parts := make([]string, len(steps))
	for i, s := range steps {
		parts[i] = humanize.Number(s)
	}
	return strings.Join(parts, ", ")
}

// takesOver waits until the second version has all traffic, and ends May.
func (d *demo) takesOver(ctx context.Context) (string, error) {
	e, err := await(ctx, d.journal, d.v2.after, func(e events.Event[events.ModelPromoted]) bool { return e.Data.Version == d.v2.number })
	if err != nil {
		return "", err
	}
	if e.Data.Previous != d.v1.number {
		return "", fmt.Errorf("v%d comes after v%d instead of v%d", e.Data.Version, e.Data.Previous, d.v1.number)
	}
	d.v2.after = e.Sequence
	if _, err := d.served(ctx, d.v2.number); err != nil {
		return "", err
	}
	r := d.live.stop()
	d.live = nil
	if r.failure != nil {
		return "", fmt.Errorf("%d of %d live requests failed, the first: %w", r.failed, r.requests, r.failure)
	}
	if r.versions[d.v1.number] == 0 || r.versions[d.v2.number] == 0 {
		return "", fmt.Errorf("the live requests were answered by %s only", r.answeredBy())
	}
	return fmt.Sprintf("v%d is the champion after v%d: %s", d.v2.number, d.v1.number, e.Data.Reason) +
		below + fmt.Sprintf("%s of May since the labels: %s, none failed, %s", humanize.Count(r.requests, "live request"), r.answeredBy(), r.latency()), nil
}

// why fetches the causes of the second version, and looks for the drift in them.
func (d *demo) why(ctx context.Context) (string, error) {
	var w api.Why
	if err := d.client.Get(ctx, &w, nil, "api/why", fmt.Sprintf("%s/v%d", pipeline, d.v2.number)); err != nil {
		return "", err
	}
	if !leadsTo(w.Event.Causes, d.drift) {
		return "", fmt.Errorf("the causes of v%d do not lead back to the drift %s", d.v2.number, d.drift)
	}
	w.Event.Effects, w.Lineage = nil, nil
	d.after = func() { d.ShowWhy(w) }
	return fmt.Sprintf("the causes of v%d lead back to drift.detected", d.v2.number), nil
}

// leadsTo reports whether an event is among the causes.
func leadsTo(causes []*api.WhyNode, id string) bool {
	return slices.ContainsFunc(causes, func(n *api.WhyNode) bool { return n.ID == id || leadsTo(n.Causes, id) })
}

// broken uploads a month with invalid rows.
func (d *demo) broken(ctx context.Context) (string, error) {
	const key = "flights/2013-05.parquet"
	_, at, err := d.put(ctx, key, d.file("flights-broken", "2013-05.parquet"))
	if err != nil {
		return "", err
	}
	e, err := await(ctx, d.journal, at, func(e events.Event[events.PartitionRejected]) bool { return e.Data.Object.Key == key })
	if err != nil {
		return "", err
	}
	if len(e.Data.Problems) < 5 {
		return "", fmt.Errorf("only %d of the 5 problems were found", len(e.Data.Problems))
	}
	reasons := make([]string, len(e.Data.Problems))
	for i, p := range e.Data.Problems {
		reasons[i] = p.String()
	}
	return fmt.Sprintf("a May with broken rows was rejected for %s", humanize.Count(len(reasons), "reason")) + below + strings.Join(reasons, below), nil
}

// shuffled trains on shuffled labels. The gates must reject the model.
func (d *demo) shuffled(ctx context.Context) (string, error) {
	asked, err := d.client.Retrain(ctx, pipeline, events.TrainingRequested{
		By: "demo", Reason: "labels shuffled: the gates must reject the model", Params: map[string]any{"shuffle_labels": true},
	})
	if err != nil {
		return "", err
	}
	at, err := d.client.Sequence(ctx, pipeline, asked.Event)
	if err != nil {
		return "", err
	}
	e, err := await[events.ModelRejected](ctx, d.journal, at, nil)
	if err != nil {
		return "", err
	}
	var routes []api.RouteRow
	if err := d.client.Get(ctx, &routes, nil, "api/routes"); err != nil {
		return "", err
	}
	if len(routes) != 1 || routes[0].Champion != d.v2.number || routes[0].Rollout != nil {
		return "", fmt.Errorf("v%d no longer has all traffic", d.v2.number)
	}
	refused := verdicts(e.Data.Verdicts, false)
	if refused == "" {
		return "", fmt.Errorf("it was rejected, but not by a gate: %s", e.Data.Reason)
	}
	return fmt.Sprintf("v%d, trained on shuffled labels, was rejected by its gates; v%d still serves", e.Data.Version, d.v2.number) + refused, nil
}
