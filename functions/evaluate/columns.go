package evaluate

import (
	"context"

	"millrace.dev/config"
	"millrace.dev/events"
)

// compareColumns says in the report if the version reads other columns than the
// champion. Of a registered model it is not known what it was trained under: it
// is judged by the current configuration.
func (f *F) compareColumns(ctx context.Context, c *evaluation, r *events.EvaluationReport) error {
	if c.champion == nil {
		return nil
	}
	now, err := f.trainedUnder(ctx, c, c.trainedConfig, c.model.Version)
	if err != nil {
		return err
	}
	then, err := f.configOf(ctx, c)
	if err != nil {
		return err
	}
	change := changedColumns(now, then)
	if change == nil {
		return nil
	}
	change.Champion = c.champion.Version
	r.Columns = change
	if r.Approved {
		r.Reason += "; " + change.String() + "; a person has to approve it"
	} else {
		r.Reason += "; " + change.String()
	}
	return nil
}

// changedColumns compares the features of two configurations, nil if they are the
// same columns.
func changedColumns(now, then *config.Pipeline) *events.ColumnChange {
	var change events.ColumnChange
	was, is := typesOf(then), typesOf(now)
	for _, name := range now.Spec.Model.Features {
		switch typ, ok := was[name]; {
		case !ok:
			change.Added = append(change.Added, name)
		case typ != is[name]:
			change.Retyped = append(change.Retyped, name)
		}
	}
	for _, name := range then.Spec.Model.Features {
		if _, ok := is[name]; !ok {
			change.Removed = append(change.Removed, name)
		}
	}
	if change.Added == nil && change.Removed == nil && change.Retyped == nil {
		return nil
	}
	return &change
}

func typesOf(p *config.Pipeline) map[string]string {
	types := map[string]string{}
	for _, name := range p.Spec.Model.Features {
		types[name] = p.Spec.Data.Columns[name].Type
	}
	return types
}
