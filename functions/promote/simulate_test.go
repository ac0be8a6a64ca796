package promote

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"millrace.dev/events"
)

// traffics is the traffic of a simulated rollout: what fails and how long the
// answers take, of each version.
type traffics struct {
	champion, canary float64 // error rates
	slower           float64 // the canary's latency by the champion's
	burst            bool    // in a fifth of the batches both fail ten times as often
}

// simulated plays a rollout through the fold and the decisions, up to so many
// requests of the canary, and returns how many it had when it ended and how.
func simulated(t *testing.T, promote string, of traffics, seed uint64, limit int64) (requests int64, ended string) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	s := newEnv(t, promote)
	for _, d := range []events.Data{version(), passed(1), version(), passed(2)} {
		s.tell(d)
	}
	for requests < limit {
		n := 20 + r.Int64N(181)
		share := s.p.Route.Percent(2) / 100
		factor := 1.0
		if of.burst && r.IntN(5) == 0 {
			factor = 10
		}
		a := draw(r, 1, int64(float64(n)*(1-share)/share), min(1, of.champion*factor), 1)
		b := draw(r, 2, n, min(1, of.canary*factor), max(1, of.slower))
		requests += n
		for _, d := range s.tell(events.PredictionsLogged{Rows: a.Rows + b.Rows, Versions: []events.VersionTraffic{a, b}}) {
			switch d.(type) {
			case events.RolloutAborted:
				return requests, "aborted"
			case events.RolloutCompleted:
				return requests, "promoted"
			}
		}
		s.told.Reset()
	}
	return requests, ""
}

func draw(r *rand.Rand, version int, n int64, rate, slower float64) events.VersionTraffic {
	v := events.VersionTraffic{Version: version, Requests: n, Rows: n, Latency: make([]int64, len(events.LatencyBoundsMs)+1)}
	for range n {
		if r.Float64() < rate {
			v.Errors++
		}
		ms := 20 * slower * math.Exp(0.5*r.NormFloat64())
		at, _ := slices.BinarySearch(events.LatencyBoundsMs, ms)
		v.Latency[at]++
	}
	return v
}

const (
	oneGuardrail  = "{strategy: canary, steps: [10, 50, 100], advance: {requests: 500}, on_deadline: hold, guardrails: [{metric: error_rate, max: %g}]}"
	allGuardrails = "{strategy: canary, steps: [10, 50, 100], advance: {requests: 500}, guardrails: [{metric: error_rate, max: %g}, " +
		"{metric: latency_p50_ms, champion: {}}, {metric: latency_p95_ms, champion: {}}, {metric: latency_p99_ms, champion: {}}]}"
)

// TestErrorRatesOfCanaries plays many rollouts with a fixed seed: an equal
// canary is aborted in at most 5 % of them, a worse one is found in time.
// deploy/bench/judgement plays more.
func TestErrorRatesOfCanaries(t *testing.T) {
	t.Parallel()
	const rollouts = 200
	for _, c := range []struct {
		name    string
		promote string
		of      traffics
		limit   int64
		most    int   // aborted
		least   int   // aborted
		median  int64 // requests at most
	}{
		{"equal at 1 %", fmt.Sprintf(oneGuardrail, 0.01), traffics{champion: 0.01, canary: 0.01}, 1000, rollouts / 20, 0, 0},
		{"equal at 5 % with four guardrails", fmt.Sprintf(allGuardrails, 0.05), traffics{champion: 0.05, canary: 0.05}, 2000, rollouts / 20, 0, 0},
		{"equal with bursts", fmt.Sprintf(allGuardrails, 0.02), traffics{champion: 0.01, canary: 0.01, burst: true}, 1000, rollouts / 20, 0, 0},
		{"one point worse", fmt.Sprintf(oneGuardrail, 0.01), traffics{champion: 0.01, canary: 0.02}, 6000, rollouts, rollouts / 2, 1300},
		{"two points worse", fmt.Sprintf(oneGuardrail, 0.01), traffics{champion: 0.01, canary: 0.03}, 6000, rollouts, rollouts * 9 / 10, 450},
		{"five points worse", fmt.Sprintf(oneGuardrail, 0.01), traffics{champion: 0.01, canary: 0.06}, 6000, rollouts, rollouts * 9 / 10, 200},
		{"two points worse, four guardrails", fmt.Sprintf(allGuardrails, 0.01), traffics{champion: 0.01, canary: 0.03}, 6000, rollouts, rollouts * 9 / 10, 600},
		{"latency 20 % longer", fmt.Sprintf(allGuardrails, 0.01), traffics{champion: 0.01, canary: 0.01, slower: 1.2}, 6000, rollouts, rollouts * 9 / 10, 500},
		{"nine times worse below the bound", fmt.Sprintf(oneGuardrail, 0.01), traffics{champion: 0.001, canary: 0.009}, 1000, rollouts, rollouts * 8 / 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var found []int64
			promoted := 0
			for seed := range uint64(rollouts) {
				n, ended := simulated(t, c.promote, c.of, seed, c.limit)
				switch ended {
				case "aborted":
					found = append(found, n)
				case "promoted":
					promoted++
				}
			}
			slices.Sort(found)
			median := int64(math.MaxInt64)
			if len(found) > rollouts/2 {
				median = found[rollouts/2]
			}
			t.Logf("%d of %d aborted, the median after %d requests; %d promoted", len(found), rollouts, median, promoted)
			if len(found) > c.most || len(found) < c.least || c.median > 0 && median > c.median {
				t.Errorf("%d of %d aborted, %d to %d are right; the median is %d requests, at most %d is right", len(found), rollouts, c.least, c.most, median, c.median)
			}
		})
	}
}
