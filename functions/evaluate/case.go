package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// evaluation is one case to be judged: what is judged, on what, against whom
// and by which rules.
type evaluation struct {
	config   *config.Pipeline
	digest   string // of the configuration
	model    *state.Model
	champion *state.Model // nil if there is none, or if it is the model itself
	// profile is that of the rows the model was trained on, or of the rows the
	// hold-out belongs to; it knows the classes where the pipeline does not say.
	profile         events.Ref
	championProfile events.Ref
	// championConfig is the digest of the configuration that the champion was
	// trained under, empty for a registered one.
	championConfig string
	holdout        events.Ref // zero if there is none
	notes          []string
	report         events.EvaluationReport
}

// caseOf puts together the case of judging a version now.
func caseOf(p *state.Pipeline, m *state.Model) *evaluation {
	c := &evaluation{config: p.Config, digest: p.Configured.Digest, model: m}
	run := p.Run(m.Run)
	if run == nil {
		run = newestRun(p)
	}
	c.profile = p.Dataset.Profile
	if run != nil {
		c.holdout, c.profile = run.Holdout, run.Profile
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

// newestRun is the newest run that made a model, nil if none did.
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

// key names what the evaluation hangs on.
func (c *evaluation) key() string {
	parts := []string{c.digest, c.holdout.Digest, fmt.Sprint(c.model.Version), c.model.Model.Digest}
	if c.champion != nil {
		parts = append(parts, fmt.Sprint(c.champion.Version), c.champion.Model.Digest)
	}
	return events.Cause(append(parts, computation)...)
}

// computation is raised when what is computed changes, so that what an older
// program kept is not taken for it.
const computation = "2"

// finish completes the report.
func (c *evaluation) finish(approved bool, reason string) *events.EvaluationReport {
	c.report.Approved, c.report.Reason, c.report.Notes = approved, reason, c.notes
	return &c.report
}

// maxReason is how much is told of what is wrong with a model: a pipeline with
// many features can have as many mistakes.
const maxReason = 4000

// refused is the report on a model that cannot be judged at all.
func (c *evaluation) refused(gate string, refusal *refusal) *events.EvaluationReport {
	why := refusal.reason
	if len(why) > maxReason {
		why = strings.ToValidUTF8(why[:maxReason], "") + " ..."
	}
	c.report.Verdicts = []events.Verdict{{Gate: gate, Reason: why}}
	return c.finish(false, fmt.Sprintf("version %d cannot be used: %s", c.model.Version, why))
}

// unjudged is the report on a model for which there is no hold-out.
func (c *evaluation) unjudged() *events.EvaluationReport {
	why := "there is no hold-out to judge it by: no run has ended with a model yet"
	if len(c.config.Spec.Data.Columns) == 0 {
		why = "there is nothing to judge it by: the pipeline has no data"
	}
	gates := c.config.Spec.Evaluate.Gates
	if len(gates) == 0 {
		return c.finish(true, fmt.Sprintf("version %d is taken as it is, without gates: %s", c.model.Version, why))
	}
	for _, g := range gates {
		for _, rule := range rules(g) {
			c.report.Verdicts = append(c.report.Verdicts, events.Verdict{Gate: rule.text(), Metric: g.Metric, Reason: why})
		}
	}
	return c.finish(false, fmt.Sprintf("version %d cannot pass its %s: %s", c.model.Version, count(len(gates), "gate"), why))
}
