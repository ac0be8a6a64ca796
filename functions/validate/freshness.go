package validate

import (
	"context"
	"fmt"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// ticked reports that a dataset lacks the data that is expected, once until
// data joins it. The time is that at which the tick was due.
func (f *F) ticked(_ context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	due, expected := p.DataDue()
	now, err := time.Parse(time.RFC3339, e.Data.Due)
	switch {
	case e.Data.Action != "freshness":
		return function.Nothing("a tick for %s does not concern this function", e.Data.Action)
	case err != nil:
		return nil, function.Reject(fmt.Errorf("due is not an RFC 3339 timestamp: %w", err))
	case !expected:
		return function.Nothing("no data is expected: the pipeline has no data.expect")
	case p.Dataset.Late != nil:
		return function.Nothing("announced at %s already", p.Dataset.Late.Time.UTC().Format(time.RFC3339))
	case !p.Overdue(now):
		return function.Nothing("data is due at %s", due.UTC().Format(time.RFC3339))
	}
	late := events.DatasetLate{Due: due.UTC().Format(time.RFC3339Nano), Snapshot: p.Dataset.Snapshot}
	every := p.Config.Spec.Data.Expect.Every
	if last := p.Dataset.Added; last.IsZero() {
		late.Reason = fmt.Sprintf("no upload has joined the dataset since the pipeline was configured %s ago; one is expected every %s", ago(now, p.Configured.Time), every)
	} else {
		late.Last = last.UTC().Format(time.RFC3339Nano)
		late.Reason = fmt.Sprintf("no upload has joined the dataset for %s; one is expected every %s", ago(now, last), every)
	}
	if o := newest(p); o != nil {
		late.Reason += fmt.Sprintf("; the newest, %s, is %s", o.Name(), o.Status)
		if o.Reason != "" {
			late.Reason += ": " + o.Reason
		}
	}
	return []events.Data{late}, nil
}

func ago(now, then time.Time) config.Duration {
	return config.Duration(now.Sub(then).Round(time.Minute))
}

// newest returns the newest upload if it has not joined the dataset, else nil.
func newest(p *state.Pipeline) *state.Object {
	var newest *state.Object
	for _, o := range p.Objects {
		if newest == nil || o.Time.After(newest.Time) {
			newest = o
		}
	}
	if newest == nil || newest.Status == state.ObjectValid || newest.Status == state.ObjectLabels {
		return nil
	}
	return newest
}
