package driftcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

// reference is what the champion was trained on and what it answered then.
type reference struct {
	version  int
	features *table.Profile // nil without a profile
	// answers are those over the champion's hold-out, nil if it was not judged.
	answers *table.Profile
}

const (
	maxProfileBytes = 1 << 30
	maxReportBytes  = 64 << 20
)

// reference reads what the champion is compared with.
func (f *F) reference(ctx context.Context, p *state.Pipeline) (reference, error) {
	champion := p.ChampionModel()
	r := reference{version: champion.Version}
	at := p.Dataset.Profile
	if run := p.Run(champion.Run); run != nil && !run.Profile.IsZero() {
		at = run.Profile
	}
	var err error
	if r.features, err = f.profile(ctx, at); err != nil {
		return r, err
	}
	if champion.Evaluation == nil || champion.Evaluation.Report.IsZero() {
		return r, nil
	}
	raw, err := f.deps.Artifacts.Bytes(ctx, champion.Evaluation.Report, maxReportBytes)
	if errors.Is(err, artifact.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	var report events.EvaluationReport
	if err := json.Unmarshal(raw, &report); err != nil {
		return r, fmt.Errorf("read the evaluation's report %s: %w", champion.Evaluation.Report.Short(), err)
	}
	r.answers, err = f.profile(ctx, report.Scores)
	return r, err
}

// profile reads a profile; nil for a zero reference.
func (f *F) profile(ctx context.Context, ref events.Ref) (*table.Profile, error) {
	if ref.IsZero() {
		return nil, nil
	}
	raw, err := f.deps.Artifacts.Bytes(ctx, ref, maxProfileBytes)
	if err != nil {
		return nil, err
	}
	var p table.Profile
	if err := p.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("read profile %s: %w", ref.Short(), err)
	}
	return &p, nil
}
