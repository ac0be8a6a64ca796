package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// predictions is where in the prediction log the labels' predictions are.
type predictions struct {
	batches   []batch // newest first
	unmatched int     // labels that are in none
	note      string  // where was not looked
}

// batch is one file of the prediction log.
type batch struct {
	path   string
	schema table.Schema
}

// lacks lists the columns of want that neither the batch nor the labels have.
func (b batch) lacks(want []string, labels table.Schema) []string {
	var missing []string
	for _, name := range want {
		if b.schema.Index(name) < 0 && labels.Index(name) < 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// predictions finds the batches with the predictions that the labels are
// about, from the newest back until every label has one.
func (f *F) predictions(ctx context.Context, upload events.Header, p *state.Pipeline, l *labelTable) (predictions, error) {
	found := predictions{unmatched: l.byKey.len()}
	if unknown := notLogged(p, l.key); len(unknown) > 0 {
		found.unmatched = 0 // waiting would not help
		found.note = "predictions cannot be found by " + strings.Join(unknown, ", ") + ": only features are logged"
		return found, nil
	}
	all, err := f.batches(ctx, upload, p.Name)
	if err != nil {
		return found, err
	}
	looked := all[max(0, len(all)-f.cfg.LabelsBatches):]
	for _, ref := range slices.Backward(looked) {
		if l.byKey.len() == 0 {
			break
		}
		path, err := f.deps.Artifacts.Path(ctx, ref)
		if err != nil {
			return found, fmt.Errorf("batch %s of the prediction log: %w", ref.Short(), err)
		}
		schema, _, err := table.ReadSchema(path)
		if err != nil {
			return found, err
		}
		if slices.ContainsFunc(l.key, func(name string) bool { return schema.Index(name) < 0 }) {
			continue // of a time when the model had other features
		}
		n, err := l.byKey.find(ctx, path, l.key)
		if err != nil {
			return found, err
		}
		if n > 0 {
			found.batches = append(found.batches, batch{path, schema})
		}
	}
	found.unmatched = l.byKey.len()
	if found.unmatched > 0 && len(looked) < len(all) {
		found.note = fmt.Sprintf("only the newest %d of %d batches of the prediction log were searched", len(looked), len(all))
	}
	return found, nil
}

// notLogged lists the key columns that no batch of predictions has.
func notLogged(p *state.Pipeline, key []string) []string {
	if p.Config.Spec.Data.Labels.ByPrediction() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(key), func(name string) bool { return slices.Contains(p.Config.Spec.Model.Features, name) })
}

// batches lists the prediction log as far back as labels look, oldest first.
func (f *F) batches(ctx context.Context, upload events.Header, pipeline string) ([]events.Ref, error) {
	from, err := f.deps.Log.SequenceAt(ctx, upload.Time.Add(-f.cfg.LabelsWithin))
	if err != nil {
		return nil, err
	}
	filter := eventlog.Filter{Pipeline: pipeline, Types: []string{events.PredictionsLogged{}.EventType()}, From: from}
	var refs []events.Ref
	for e, err := range f.deps.Log.Read(ctx, filter) {
		if err != nil {
			return nil, err
		}
		logged, err := events.Decode[events.PredictionsLogged](e)
		if err != nil {
			return nil, err
		}
		if logged.Data.Rows > 0 && !logged.Data.Mirrored {
			refs = append(refs, logged.Data.Batch)
		}
	}
	return refs, nil
}
