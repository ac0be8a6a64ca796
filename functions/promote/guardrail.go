package promote

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// leastBlame is the evidence against the champion that an absolute bound needs
// to blame the canary: an outage that both versions share is no fault of one.
const leastBlame = 4

// weighed is what all guardrails say together. Each has an equal share of
// alpha: the mean of their evidence is evidence too (Vovk and Wang 2021).
type weighed struct {
	evidence []events.GuardrailEvidence
	broken   string // the limit that the canary breaks, "" for none
	why      string
	both     string // the limit that both versions break
	safe     bool   // every limit is shown to be kept
	missing  int64  // requests until that is shown, 0 if it is not known
}

// weigh weighs the evidence of the rollout.
func weigh(p *state.Pipeline) weighed {
	r, w := p.Rollout, weighed{safe: true}
	limits := state.Limits(p.Config.Spec.Promote.Guardrails)
	guardrails := guarding(limits)
	unknown := false
	threshold := math.Log(1 / alpha(p))
	blamed, all := 0.0, 0.0
	most, mostOfAll := -1.0, -1.0
	var worst, worstOfAll *state.Limit
	for i, l := range limits {
		t := r.Test(l)
		worse, safe := l.LogWorse(t, planned(p)), l.LogSafe(t, planned(p))
		if l.Implied {
			safe = threshold
		}
		e := events.GuardrailEvidence{
			Rule: l.Rule, Broken: int64(t.Counts.CanaryFailed), Requests: int64(t.Counts.Canary),
			ChampionBroken: int64(t.Counts.ChampionFailed), ChampionRequests: int64(t.Counts.Champion), Worse: value(worse), Safe: value(safe),
		}
		if safe < threshold {
			w.safe = false
			e.Missing = l.Missing(t, planned(p), threshold)
			w.missing, unknown = max(w.missing, e.Missing), unknown || e.Missing == 0
		}
		w.evidence = append(w.evidence, e)
		share := e.Worse * l.Weight / guardrails
		if all += share; share > mostOfAll {
			mostOfAll, worstOfAll = share, &limits[i]
		}
		// Without a request to the champion, nobody else can share the fault.
		if l.Relative || t.Counts.Champion == 0 || t.Worse.LogE() >= math.Log(leastBlame) {
			if blamed += share; share > most {
				most, worst = share, &limits[i]
			}
		}
	}
	if unknown {
		w.missing = 0
	}
	switch {
	case blamed >= 1/alpha(p):
		w.broken, w.why = worst.Rule, w.reason(worst.Rule, p)
	case all >= 1/alpha(p):
		w.both = worstOfAll.Rule
		w.why = w.reason(worstOfAll.Rule, p)
	}
	return w
}

// guarding counts the guardrails that have a limit.
func guarding(limits []state.Limit) float64 {
	n := map[int]bool{}
	for _, l := range limits {
		n[l.Guardrail] = true
	}
	return float64(len(n))
}

// alpha is the chance of aborting a rollout wrongly.
func alpha(p *state.Pipeline) float64 {
	if a := p.Config.Spec.Promote.Alpha; a > 0 {
		return a
	}
	return config.DefaultAlpha
}

// planned is how many requests of the canary the rollout is meant to see.
func planned(p *state.Pipeline) int64 {
	steps := 0
	for _, s := range p.Rollout.Steps {
		if s < 100 {
			steps++
		}
	}
	return max(1, p.Config.Spec.Promote.Advance.Requests*int64(max(1, steps)))
}

// value is the evidence as an event carries it.
func value(log float64) float64 {
	const most = 1e12
	if log >= math.Log(most) {
		return most
	}
	return math.Round(math.Exp(log)*1e6) / 1e6
}

// reason says what a limit was judged by.
func (w weighed) reason(rule string, p *state.Pipeline) string {
	i := slices.IndexFunc(w.evidence, func(e events.GuardrailEvidence) bool { return e.Rule == rule })
	e := w.evidence[i]
	broke := "are beyond it"
	if strings.HasPrefix(rule, config.GuardrailErrorRate) {
		broke = "failed"
	}
	reason := fmt.Sprintf("%s of %s %s", humanize.Int(e.Broken), humanize.Count(e.Requests, "request"), broke)
	if e.ChampionRequests > 0 {
		reason += fmt.Sprintf(", and %s of %s of champion v%d", humanize.Int(e.ChampionBroken), humanize.Int(e.ChampionRequests), p.Route.Champion)
	}
	return fmt.Sprintf("%s; the evidence is %s", reason, evidenceText(e.Worse))
}

// evidenceText writes an e-value: "0.52", "1,300".
func evidenceText(e float64) string {
	if e > 1e6 {
		return "above a million"
	}
	if e >= 100 {
		return humanize.Int(int64(math.Round(e)))
	}
	return fmt.Sprintf("%.3g", e)
}
