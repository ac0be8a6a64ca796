package promote

import (
	"fmt"
	"math"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// A guardrail is judged after minRequests, or when minBad of them are on the
// wrong side, whichever comes first.
const (
	minRequests = 50
	minBad      = 10
)

// z is the normal quantile of a one-sided 95 % bound.
const z = 1.6448536269514722

// rule is the guardrail in short: "error_rate <= 0.01".
func rule(g config.Guardrail) string {
	switch {
	case g.Min == nil:
		return fmt.Sprintf("%s <= %g", g.Metric, *g.Max)
	case g.Max == nil:
		return fmt.Sprintf("%s >= %g", g.Metric, *g.Min)
	}
	return fmt.Sprintf("%g <= %s <= %g", *g.Min, g.Metric, *g.Max)
}

// broken says why the guardrail is broken beyond chance, "" if it isn't.
func broken(g config.Guardrail, r *state.Rollout) string {
	if g.Metric == config.GuardrailErrorRate {
		return brokenRate(g, r)
	}
	return brokenLatency(g, r)
}

func brokenRate(g config.Guardrail, r *state.Rollout) string {
	if g.Max != nil && exceeds(r.Errors, r.Requests, *g.Max) {
		return fmt.Sprintf("%d of %d requests failed, which is beyond chance", r.Errors, r.Requests)
	}
	if good := r.Requests - r.Errors; g.Min != nil && exceeds(good, r.Requests, 1-*g.Min) {
		return fmt.Sprintf("only %d of %d requests failed, which is beyond chance", r.Errors, r.Requests)
	}
	return ""
}

// brokenLatency reads a bound on a percentile as one on a share of requests.
// Requests in the bucket that the bound falls into are given the benefit of
// the doubt.
func brokenLatency(g config.Guardrail, r *state.Rollout) string {
	q := map[string]float64{config.GuardrailLatencyP50: 0.50, config.GuardrailLatencyP95: 0.95, config.GuardrailLatencyP99: 0.99}[g.Metric]
	var total int64
	for _, n := range r.Latency {
		total += n
	}
	if g.Max != nil {
		if n := slower(r.Latency, *g.Max); exceeds(n, total, 1-q) {
			return fmt.Sprintf("%d of %d requests took longer than %g ms, more than %.3g %% beyond chance; the percentile is about %.3g ms",
				n, total, *g.Max, 100*(1-q), r.LatencyMs(q))
		}
	}
	if g.Min != nil {
		if n := faster(r.Latency, *g.Min); exceeds(n, total, q) {
			return fmt.Sprintf("%d of %d requests took less than %g ms, more than %.3g %% beyond chance", n, total, *g.Min, 100*q)
		}
	}
	return ""
}

// slower counts the requests that surely took longer than ms.
func slower(latency []int64, ms float64) (n int64) {
	for i, count := range latency {
		if i > 0 && events.LatencyBoundsMs[i-1] >= ms {
			n += count
		}
	}
	return n
}

// faster counts the requests that surely took less than ms.
func faster(latency []int64, ms float64) (n int64) {
	for i, count := range latency {
		if i < len(events.LatencyBoundsMs) && events.LatencyBoundsMs[i] <= ms {
			n += count
		}
	}
	return n
}

// exceeds tells whether bad of n requests are more than the allowed share,
// beyond chance.
func exceeds(bad, n int64, allowed float64) bool {
	return (n >= minRequests || bad >= minBad) && wilsonLower(bad, n) > allowed
}

// wilsonLower is the lower end of the one-sided 95 % Wilson interval of a
// share: it holds its level for the small shares and counts that a canary has,
// where the textbook interval does not.
func wilsonLower(k, n int64) float64 {
	if k <= 0 || n <= 0 {
		return 0
	}
	share, count := float64(k)/float64(n), float64(n)
	middle := share + z*z/(2*count)
	half := z * math.Sqrt(share*(1-share)/count+z*z/(4*count*count))
	return max(0, (middle-half)/(1+z*z/count))
}
