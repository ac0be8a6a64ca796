package driftcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// Name of the function.
const Name = "drift-check"

// Config is what an installation sets.
type Config struct {
	// How long one check may take.
	Timeout time.Duration `env:"MILLRACE_DRIFT_CHECK_TIMEOUT" envDefault:"5m"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	return function.AboveZero("MILLRACE_DRIFT_CHECK_TIMEOUT", c.Timeout)
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps function.Deps
	cfg  Config
	// statistic has the newest statistic of each column.
	statistic *prometheus.GaugeVec
}

// New returns the function, or the mistake in cfg.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &F{deps: deps, cfg: cfg, statistic: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "millrace_drift_statistic", Help: "How far a column, or the prediction, has moved: PSI, or the KS distance.",
	}, []string{"pipeline", "column", "test"})}
	if err := deps.Metrics.Register(f.statistic); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", Name, err)
	}
	return f, nil
}

// Register subscribes the function to its events.
func (f *F) Register(m *function.Mux) {
	guard, timeout := function.Guard("drift"), function.Timeout(f.cfg.Timeout)
	function.Handle(m, f.predicted, guard, timeout)
	function.Handle(m, f.ticked, guard, timeout)
	function.Handle(m, f.labelled, guard, timeout)
}

func (f *F) predicted(ctx context.Context, e events.Event[events.PredictionsLogged], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil || p.Route.Champion == 0 {
		return function.Nothing("nothing to compare with: %s has no champion", p.Name)
	}
	if have, want := p.Predictions.UncheckedRows, max(minValues, p.Config.Spec.Monitor.Every.Rows); have < want {
		return function.Nothing("%s of %s since the last check", humanize.Int(have), humanize.Count(want, "row"))
	}
	return f.check(ctx, e.Time, p)
}

func (f *F) ticked(ctx context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	switch {
	case e.Data.Action != Name:
		return function.Nothing("a tick for %s does not concern this function", e.Data.Action)
	case p.Config == nil || p.Route.Champion == 0:
		return function.Nothing("nothing to compare with: %s has no champion", p.Name)
	case p.Predictions.UncheckedRows < minValues:
		return function.Nothing("%s predicted since the last check, of at least %d", humanize.Count(p.Predictions.UncheckedRows, "row"), minValues)
	}
	return f.check(ctx, e.Time, p)
}

// check compares the batches that no check has seen with the champion's training.
func (f *F) check(ctx context.Context, now time.Time, p *state.Pipeline) ([]events.Data, error) {
	ref, err := f.reference(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("check %s for drift: %w", p.Name, err)
	}
	if ref.features == nil {
		return function.Nothing("nothing to compare with: champion v%d has no run, and %s has no dataset", ref.version, p.Name)
	}
	served, err := f.served(ctx, p, ref)
	if err != nil {
		return nil, fmt.Errorf("check %s for drift: %w", p.Name, err)
	}
	if served.rows == 0 {
		return function.Nothing("the %d batches since the last check are no longer in the artifact store", len(p.Predictions.Unchecked))
	}
	c, untested := compare(p.Config, ref, served)
	for _, d := range columns(c) {
		f.statistic.WithLabelValues(p.Name, d.Column, d.Test).Set(d.Statistic)
	}
	return decide(p, now, c, untested), nil
}

// decide returns the event that follows from a check.
func decide(p *state.Pipeline, now time.Time, c events.DriftCheck, untested int) []events.Data {
	moved := drifted(c)
	monitor := p.Config.Spec.Monitor
	tests := humanize.Count(len(c.Columns), "feature")
	if c.Prediction != nil {
		tests += " and the prediction"
	}
	if untested > 0 {
		tests += fmt.Sprintf(" (%d could not be tested)", untested)
	}
	c.Columns = shorten(c.Columns)
	over := "in " + humanize.Count(c.Rows, "row")
	if len(moved) == 0 {
		c.Reason = fmt.Sprintf("no drift of %s %s", tests, over)
		if most := mostMoved(c); most != nil {
			c.Reason += ": the largest is " + most.Reason
		}
		return []events.Data{events.DriftChecked{DriftCheck: c}}
	}
	c.Reason = fmt.Sprintf("%s drifted %s: %s", names(moved), over, moved[0].Reason)
	// Negative when the clock was set back.
	if since := now.Sub(p.Drift.Detected); !p.Drift.Detected.IsZero() && since >= 0 && since < monitor.Cooldown.Std() {
		c.Reason += fmt.Sprintf("; reported %s ago, and not again within the cooldown of %s", config.Duration(since.Round(time.Second)), monitor.Cooldown)
		return []events.Data{events.DriftChecked{DriftCheck: c}}
	}
	return []events.Data{events.DriftDetected{DriftCheck: c, Action: monitor.OnDrift}}
}
