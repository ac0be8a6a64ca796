package state

import (
	"fmt"
	"math"
	"slices"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/sequential"
)

// Arm counts what one version has answered since its rollout had its first
// traffic.
type Arm struct {
	Requests int64 `json:"requests,omitempty"`
	Errors   int64 `json:"errors,omitempty"`
	// Latency counts requests by events.LatencyBoundsMs.
	Latency []int64 `json:"latency,omitempty"`
}

func (a *Arm) add(v events.VersionTraffic) {
	a.Requests += v.Requests
	a.Errors += v.Errors
	latency := make([]int64, len(events.LatencyBoundsMs)+1)
	copy(latency, a.Latency)
	for i, n := range v.Latency {
		if i < len(latency) {
			latency[i] += n
		}
	}
	a.Latency = latency
}

// Limit is one side of a guardrail: that the share of requests that break it
// stays at or below Bound, or does not exceed the champion's share.
type Limit struct {
	// Rule is the limit in short, "error_rate <= 0.01"; it identifies it.
	Rule string
	// Relative says that the champion is the measure, and Margin by how much its
	// share may be exceeded. Otherwise Bound is the measure.
	Relative      bool
	Bound, Margin float64
	// Implied says that the file asks for a largest value only. A canary that is
	// worse than its champion beyond chance breaks that too, even below the value;
	// it is safe when it keeps the value.
	Implied bool
	// Guardrail is the index of the guardrail, and Weight the limit's part of
	// that guardrail's evidence.
	Guardrail int
	Weight    float64
	// Prior is the share that is expected before the first request.
	Prior sequential.Base

	metric     string
	percentile float64 // of a latency
	ms         float64 // the latency's bound
	least      bool    // the bound is the least value
	buckets    int     // by which the latency may exceed the champion's
}

// percentiles are those that guardrails know.
var percentiles = map[string]float64{config.GuardrailLatencyP50: 0.50, config.GuardrailLatencyP95: 0.95, config.GuardrailLatencyP99: 0.99}

// The parts of a largest value's evidence: that it is exceeded, and that the
// canary is worse than its champion.
const (
	boundWeight   = 0.25
	impliedWeight = 1 - boundWeight
)

// Limits returns the limits of guardrails, in their order. Those that cannot be
// broken, such as an error rate of at least 0, are left out.
func Limits(guardrails []config.Guardrail) []Limit {
	var limits []Limit
	for i, g := range guardrails {
		first := len(limits)
		q, latency := percentiles[g.Metric]
		of := Limit{metric: g.Metric, percentile: q, Prior: sequential.PriorErrors(), Guardrail: i, Weight: 1}
		if g.Max != nil {
			l := of
			l.Rule, l.Bound = fmt.Sprintf("%s <= %g", g.Metric, *g.Max), *g.Max
			if latency {
				l.ms, l.Bound, l.Prior = *g.Max, 1-q, sequential.PriorAbove(q)
			}
			if l.Bound > 0 && l.Bound < 1 {
				limits = append(limits, l)
			}
		}
		if g.Min != nil {
			l := of
			l.Rule, l.Bound, l.least = fmt.Sprintf("%s >= %g", g.Metric, *g.Min), 1-*g.Min, true
			if latency {
				l.ms, l.Bound, l.Prior = *g.Min, q, sequential.PriorAbove(1-q)
			}
			if l.Bound > 0 && l.Bound < 1 {
				limits = append(limits, l)
			}
		}
		switch {
		case g.Champion != nil:
			limits = append(limits, of.against(*g.Champion))
		case g.Max != nil && g.Min == nil && len(limits) > first:
			limits[first].Weight = boundWeight
			l := of.against(config.ChampionGuardrail{})
			l.Implied, l.Weight = true, impliedWeight
			limits = append(limits, l)
			continue
		}
		for j := first; j < len(limits); j++ {
			limits[j].Weight = 1 / float64(len(limits)-first)
		}
	}
	return limits
}

// against returns the limit that the champion sets.
func (l Limit) against(c config.ChampionGuardrail) Limit {
	l.Relative, l.Rule = true, l.metric+" <= champion"
	if l.percentile > 0 {
		l.Prior = sequential.PriorAbove(l.percentile)
		if c.Ratio != nil && *c.Ratio > 1 {
			l.Rule += fmt.Sprintf(" * %g", *c.Ratio)
			l.buckets = int(math.Floor(math.Log2(*c.Ratio)*4 + 1e-9))
		}
		return l
	}
	if c.Margin != nil && *c.Margin > 0 {
		l.Rule += fmt.Sprintf(" + %g", *c.Margin)
		l.Margin = *c.Margin
	}
	return l
}

// batch counts the requests of both arms that break the limit. before is what
// the champion had answered until then.
func (l Limit) batch(champion, canary events.VersionTraffic, before Arm) (sequential.Batch, bool) {
	if l.metric == config.GuardrailErrorRate {
		b := sequential.Batch{
			ChampionFailed: float64(champion.Errors), Champion: float64(champion.Requests),
			CanaryFailed: float64(canary.Errors), Canary: float64(canary.Requests),
		}
		if l.least {
			b.ChampionFailed, b.CanaryFailed = b.Champion-b.ChampionFailed, b.Canary-b.CanaryFailed
		}
		return b, true
	}
	b := sequential.Batch{Champion: float64(total(champion.Latency)), Canary: float64(total(canary.Latency))}
	switch {
	case l.Relative:
		edge, ok := before.bucket(l.percentile)
		if !ok {
			return b, false // nothing is known about the champion yet
		}
		b.ChampionFailed, b.CanaryFailed = float64(beyond(champion.Latency, edge)), float64(beyond(canary.Latency, edge+l.buckets))
	case l.least:
		b.ChampionFailed, b.CanaryFailed = float64(Faster(champion.Latency, l.ms)), float64(Faster(canary.Latency, l.ms))
	default:
		b.ChampionFailed, b.CanaryFailed = float64(Slower(champion.Latency, l.ms)), float64(Slower(canary.Latency, l.ms))
	}
	return b, true
}

// bucket returns the bucket of a percentile of the latency.
func (a Arm) bucket(percentile float64) (int, bool) {
	n := total(a.Latency)
	rank, seen := percentile*float64(n), int64(0)
	for i, count := range a.Latency {
		if seen += count; n > 0 && float64(seen) >= rank {
			return i, true
		}
	}
	return 0, false
}

// beyond counts the requests in buckets after that one.
func beyond(latency []int64, bucket int) (n int64) {
	for i, count := range latency {
		if i > bucket {
			n += count
		}
	}
	return n
}

// Slower counts the requests that surely took longer than ms.
func Slower(latency []int64, ms float64) (n int64) {
	for i, count := range latency {
		if i > 0 && events.LatencyBoundsMs[i-1] >= ms {
			n += count
		}
	}
	return n
}

// Faster counts the requests that surely took less than ms.
func Faster(latency []int64, ms float64) (n int64) {
	for i, count := range latency {
		if i < len(events.LatencyBoundsMs) && events.LatencyBoundsMs[i] <= ms {
			n += count
		}
	}
	return n
}

func total(latency []int64) (n int64) {
	for _, count := range latency {
		n += count
	}
	return n
}

// Test is the evidence about one limit, from the start of the rollout on.
type Test struct {
	Rule string `json:"rule"`
	// Counts are the requests of both arms, and those that broke the limit.
	Counts sequential.Batch `json:"counts"`
	// Worse is the evidence that the canary breaks the limit more often than the
	// champion by more than the margin, Safe that it is not worse by the margin,
	// and Better that it breaks the limit less often.
	Worse  sequential.TwoArm `json:"worse"`
	Safe   sequential.Safe   `json:"safe"`
	Better sequential.TwoArm `json:"better"`
}

// LogWorse returns the logarithm of the evidence that the canary breaks the
// limit. planned is how many requests the rollout is meant to see.
func (l Limit) LogWorse(t Test, planned int64) float64 {
	if l.Relative {
		return t.Worse.LogE()
	}
	return sequential.Exceeds(t.Counts.CanaryFailed, t.Counts.Canary, l.Bound, planned)
}

// LogSafe returns the logarithm of the evidence that the canary keeps the
// limit. Where the champion is the measure and nothing worse is allowed, the
// canary must be better.
func (l Limit) LogSafe(t Test, planned int64) float64 {
	switch {
	case !l.Relative:
		return sequential.Keeps(t.Counts.CanaryFailed, t.Counts.Canary, l.Bound, planned)
	case l.Margin > 0:
		return t.Safe.LogE()
	}
	return t.Better.LogE()
}

// Missing returns about how many more requests of the canary the evidence that
// it keeps the limit needs; 0 if no number would do at the rates seen so far.
func (l Limit) Missing(t Test, planned int64, threshold float64) int64 {
	c := t.Counts
	switch {
	case c.Canary == 0:
		return 0
	case !l.Relative:
		return sequential.MissingToKeep(c.CanaryFailed, c.Canary, l.Bound, planned, threshold)
	case c.Champion == 0:
		return 0
	case l.Margin > 0:
		return t.Safe.Missing(c.ChampionFailed/c.Champion, c.CanaryFailed/c.Canary, c.Champion/c.Canary, l.Margin, threshold)
	}
	n := t.Better.Missing(c.CanaryFailed/c.Canary, c.ChampionFailed/c.Champion, c.Canary/c.Champion, 0, threshold)
	return int64(float64(n) * c.Canary / c.Champion)
}

// add adds a batch to the evidence. before is what the champion had answered
// until then.
func (t *Test) add(l Limit, champion, canary events.VersionTraffic, before Arm) {
	b, ok := l.batch(champion, canary, before)
	if !ok {
		return
	}
	t.Counts.ChampionFailed += b.ChampionFailed
	t.Counts.Champion += b.Champion
	t.Counts.CanaryFailed += b.CanaryFailed
	t.Counts.Canary += b.Canary
	t.Worse.Add(b, l.Margin)
	t.Safe.Add(b, l.Margin)
	t.Better.Add(sequential.Batch{ChampionFailed: b.CanaryFailed, Champion: b.Canary, CanaryFailed: b.ChampionFailed, Canary: b.Champion}, 0)
}

// Test returns the evidence about a limit. A limit that is new since the batch
// before, or that is only tried, begins with what both versions have answered
// until now, as one batch.
func (r *Rollout) Test(l Limit) Test {
	if i := slices.IndexFunc(r.Tests, func(t Test) bool { return t.Rule == l.Rule }); i >= 0 {
		return r.Tests[i]
	}
	t := Test{Rule: l.Rule, Worse: sequential.NewTwoArm(l.Prior), Safe: sequential.NewSafe(l.Prior), Better: sequential.NewTwoArm(l.Prior)}
	t.add(l, r.Champion.traffic(), r.Canary.traffic(), Arm{})
	return t
}

func (a Arm) traffic() events.VersionTraffic {
	return events.VersionTraffic{Requests: a.Requests, Errors: a.Errors, Latency: a.Latency}
}

// observe adds a batch to the evidence of the rollout.
func (r *Rollout) observe(guardrails []config.Guardrail, champion, canary events.VersionTraffic) {
	var tests []Test
	for _, l := range Limits(guardrails) {
		t := r.Test(l)
		t.add(l, champion, canary, r.Champion)
		tests = append(tests, t)
	}
	r.Tests = tests
	r.Champion.add(champion)
	r.Canary.add(canary)
}
