package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// evaluation is one evaluation: which model, on which hold-out, against which champion and under which rules.
type evaluation struct {
	config   *config.Pipeline
	digest   string // of the configuration
	model    *state.Model
	champion *state.Model // nil without a champion, or if it is the model itself
	// profile is that of the rows the model was trained on, or of the rows that the hold-out belongs to. It has the classes
	// where the pipeline does not list them.
	profile         events.Ref
	championProfile events.Ref
	// championConfig is the digest of the configuration that the champion was
	// trained under, empty for a registered one.
	championConfig string
	// trainedConfig is that of the version itself, empty for a registered one.
	trainedConfig string
	holdout       events.Ref // zero without a hold-out
	// tried has rows that the model is tried on before it is measured: the
	// hold-out, else the newest rows of the dataset; zero if there are no rows.
	tried events.Ref
	// train is the train part that the model was trained on, zero if it was
	// registered.
	train  events.Ref
	notes  []string
	report events.EvaluationReport
}

// newEvaluation returns the evaluation of a version as of now.
func newEvaluation(p *state.Pipeline, m *state.Model) *evaluation {
	c := &evaluation{config: p.Config, digest: p.Configured.Digest, model: m}
	run := p.Run(m.Run)
	if run == nil {
		run = newestRun(p)
	}
	if r := p.Run(m.Run); r != nil {
		c.trainedConfig = r.Config
	}
	c.profile = p.Dataset.Profile
	if run != nil {
		c.holdout, c.profile = run.Holdout, run.Profile
		if run.Run == m.Run {
			c.train = run.Train
		}
	}
	c.tried = c.holdout
	if n := len(p.Dataset.Partitions); c.tried.IsZero() && n > 0 {
		c.tried = p.Dataset.Partitions[n-1].Data
	}
	if champion := p.ChampionModel(); champion != nil && champion.Version != m.Version {
		c.champion, c.championProfile = champion, c.profile
		if r := p.Run(champion.Run); r != nil {
			c.championProfile, c.championConfig = r.Profile, r.Config
		}
	}
	c.report.Evaluation = events.Evaluation{
		Version: m.Version, Run: m.Run, Config: c.digest, Holdout: c.holdout, Score: events.Score{Version: m.Version},
	}
	if c.champion != nil {
		c.report.Against = c.champion.Version
	}
	return c
}

// newestRun returns the newest run that has a model, nil if no run has one.
func newestRun(p *state.Pipeline) *state.Run {
	for _, r := range slices.Backward(p.Runs) {
		if r.Status == state.RunCompleted {
			return r
		}
	}
	return nil
}

func (c *evaluation) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// key identifies everything that the evaluation depends on.
func (c *evaluation) key() string {
	parts := []string{c.digest, c.holdout.Digest, c.tried.Digest, fmt.Sprint(c.model.Version), c.model.Model.Digest}
	if c.champion != nil {
		parts = append(parts, fmt.Sprint(c.champion.Version), c.champion.Model.Digest)
	}
	return events.Cause(append(parts, computation)...)
}

// computation is raised when the computation changes, so that results cached by an older program are not used.
const computation = "5"

// finish completes the report.
func (c *evaluation) finish(approved bool, reason string) *events.EvaluationReport {
	c.report.Approved, c.report.Reason, c.report.Notes = approved, reason, c.notes
	return &c.report
}

// maxReason bounds the reason of a rejection, in bytes: a model can have a mistake in each of many features.
const maxReason = 4000

// refused returns the report on a model that cannot be evaluated at all.
func (c *evaluation) refused(gate string, refusal *refusal) *events.EvaluationReport {
	why := refusal.reason
	if len(why) > maxReason {
		why = strings.ToValidUTF8(why[:maxReason], "") + " ..."
	}
	c.report.Verdicts = []events.Verdict{{Gate: gate, Reason: why}}
	return c.finish(false, fmt.Sprintf("version %d cannot be used: %s", c.model.Version, why))
}

// withoutHoldout returns the report on a model when there is no hold-out.
func (c *evaluation) withoutHoldout() *events.EvaluationReport {
	why := "there is no hold-out to evaluate it on: no run has produced a model yet"
	if len(c.config.Spec.Data.Columns) == 0 {
		why = "the pipeline has no data to evaluate it on"
	}
	gates := c.config.Spec.Evaluate.Gates
	if len(gates) == 0 {
		return c.finish(true, fmt.Sprintf("version %d is approved without gates: %s", c.model.Version, why))
	}
	for _, g := range gates {
		for _, rule := range rules(g) {
			c.report.Verdicts = append(c.report.Verdicts, events.Verdict{Gate: rule.text(), Metric: g.Metric, Reason: why})
		}
	}
	return c.finish(false, fmt.Sprintf("version %d cannot pass its %s: %s", c.model.Version, humanize.Count(len(gates), "gate"), why))
}
