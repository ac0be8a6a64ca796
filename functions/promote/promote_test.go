package promote

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/triggers"
)

var update = flag.Bool("update", false, "write the golden decisions anew")

const (
	direct       = "{strategy: direct}"
	directAsked  = "{strategy: direct, approval: required}"
	canary       = "{strategy: canary, steps: [10, 50, 100], advance: {requests: 500, within: 1h}, guardrails: [{metric: error_rate, max: 0.01}, {metric: latency_p95_ms, max: 200}]}"
	canaryAsked  = "{strategy: canary, approval: required, steps: [10, 100], advance: {requests: 500, within: 1h}, guardrails: [{metric: error_rate, max: 0.01}]}"
	canaryGoBack = "{strategy: canary, steps: [10, 100], advance: {requests: 500, within: 1h}, on_deadline: rollback}"
	canaryGoOn   = "{strategy: canary, steps: [10, 50, 100], advance: {requests: 500, within: 1h}, on_deadline: promote}"
)

var minute = later(time.Minute)

func TestDecisions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, promote string
		events        []events.Data
	}{
		{"direct: each approved version goes live at once", direct, []events.Data{version(), passed(1), version(), passed(2)}},
		{"canary: the first version goes live at once", canary, []events.Data{version(), passed(1)}},
		{"canary: step by step to all traffic", canary, []events.Data{
			version(), passed(1), version(), passed(2), minute, traffic(1, 900, 0, 5), traffic(2, 100, 0, 5), traffic(2, 400, 2, 5),
			traffic(2, 499, 0, 5), traffic(2, 1, 0, 5), traffic(2, 50, 0, 5),
		}},
		{"canary: a step of all traffic is direct", "{strategy: canary, steps: [100]}", []events.Data{version(), passed(1), version(), passed(2)}},
		{"guardrail: errors beyond chance", canary, []events.Data{
			version(), passed(1), version(), passed(2), traffic(2, 40, 4, 5), traffic(2, 20, 0, 5), passed(2), traffic(1, 10, 10, 5),
		}},
		{"guardrail: ten errors are enough", canary, []events.Data{version(), passed(1), version(), passed(2), traffic(2, 12, 10, 5)}},
		{"guardrail: one error in fifty is chance", canary, []events.Data{version(), passed(1), version(), passed(2), traffic(2, 50, 1, 5)}},
		{"guardrail: latency", canary, []events.Data{
			version(), passed(1), version(), passed(2), traffic(2, 400, 0, 5), traffic(2, 15, 0, 400), traffic(2, 30, 0, 400),
		}},
		{"guardrail: it is looked at before the next step", canary, []events.Data{version(), passed(1), version(), passed(2), traffic(2, 600, 100, 5)}},
		{"guardrail: a least value", "{strategy: canary, guardrails: [{metric: latency_p50_ms, min: 2}, {metric: error_rate, min: 0, max: 0.5}]}", []events.Data{
			version(), passed(1), version(), passed(2), traffic(2, 60, 0, 5), traffic(2, 300, 0, 0.5),
		}},
		{"guardrail: an outage of both versions blames neither", canary, []events.Data{
			version(), passed(1), version(), passed(2), both(900, 0, 100, 0), both(900, 270, 100, 31), both(900, 260, 100, 30), later(time.Hour), tick(),
		}},
		{"guardrail: nine times worse than the champion", canary, []events.Data{
			version(), passed(1), version(), passed(2), both(900, 1, 100, 2), both(900, 0, 100, 3), both(900, 1, 100, 2), both(900, 1, 100, 4),
		}},
		{"guardrail: against the champion", "{strategy: canary, steps: [10, 100], guardrails: [{metric: error_rate, champion: {margin: 0.02}}, {metric: latency_p95_ms, champion: {ratio: 1.5}}]}", []events.Data{
			version(), passed(1), version(), passed(2), both(900, 9, 100, 1), both(900, 9, 100, 12), both(900, 9, 100, 14), both(900, 9, 100, 13),
		}},
		{"evidence: the requests are enough", "{strategy: canary, steps: [10, 100], advance: {requests: 50, evidence: requests}, guardrails: [{metric: error_rate, max: 0.01}]}", []events.Data{
			version(), passed(1), version(), passed(2), both(400, 1, 49, 1), both(9, 0, 1, 0),
		}},
		{"deadline: hold says so once, evidence ends it", canary, []events.Data{
			version(), passed(1), version(), passed(2), traffic(2, 100, 0, 5), later(59 * time.Minute), tick(), minute, tick(), minute, tick(),
			traffic(2, 300, 0, 5), traffic(2, 100, 0, 5),
		}},
		{"deadline: a held canary is still watched", canary, []events.Data{
			version(), passed(1), version(), passed(2), later(time.Hour), tick(), traffic(2, 100, 50, 5),
		}},
		{"deadline: a person ends the hold", canary, []events.Data{version(), passed(1), version(), passed(2), later(time.Hour), tick(), goes(2)}},
		{"deadline: a newer version ends the hold", canary, []events.Data{
			version(), passed(1), version(), passed(2), later(time.Hour), tick(), version(), passed(3),
		}},
		{"deadline: a version that waits ends the step", canary, []events.Data{
			version(), passed(1), version(), passed(2), version(), passed(3), later(time.Hour), tick(),
		}},
		{"deadline: seen by a batch first", canaryGoBack, []events.Data{
			version(), passed(1), version(), passed(2), later(2 * time.Hour), traffic(1, 100, 0, 5),
		}},
		{"deadline: a clock that is set back gives it more time, and nothing else", canaryGoBack, []events.Data{
			version(), passed(1), version(), passed(2), later(-48 * time.Hour), tick(), traffic(2, 500, 0, 5), later(30 * time.Minute), tick(),
			later(time.Hour), tick(),
		}},
		{"deadline: rollback", canaryGoBack, []events.Data{version(), passed(1), version(), passed(2), traffic(2, 10, 0, 5), later(time.Hour), tick(), tick()}},
		{"deadline: promote takes step after step", canaryGoOn, []events.Data{
			version(), passed(1), version(), passed(2), later(time.Hour), tick(), minute, tick(), later(time.Hour), tick(),
		}},
		{"approval: the first version too", directAsked, []events.Data{version(), passed(1), tick(), traffic(1, 9, 0, 5), goes(1)}},
		{"approval: direct", directAsked, []events.Data{version(), passed(1), goes(1), version(), passed(2), goes(2)}},
		{"approval: before each step", canaryAsked, []events.Data{
			version(), passed(1), goes(1), version(), passed(2), traffic(2, 10, 10, 5), goes(2), traffic(2, 500, 0, 5), traffic(2, 5, 0, 5), goes(2),
		}},
		{"approval: guardrails hold while a person is waited for", canaryAsked, []events.Data{
			version(), passed(1), goes(1), version(), passed(2), goes(2), traffic(2, 500, 0, 5), traffic(2, 100, 100, 5),
		}},
		{"approval: a newer version takes the place of one that waits", directAsked, []events.Data{
			version(), passed(1), goes(1), version(), passed(2), version(), passed(3), goes(2), goes(3),
		}},
		{"approval: a version that reads other columns", canary, []events.Data{
			version(), passed(1), version(), differs(2), tick(), goes(2), traffic(2, 500, 0, 5),
		}},
		{"approval: no longer required", canaryAsked, []events.Data{
			version(), passed(1), goes(1), version(), passed(2), goes(2), traffic(2, 500, 0, 5), setting(canary), traffic(2, 5, 0, 5),
		}},
		{"yes: continues without the evidence", canary, []events.Data{version(), passed(1), version(), passed(2), traffic(2, 120, 0, 5), goes(2), goes(2)}},
		{"yes: takes the place of another rollout", canary, []events.Data{version(), passed(1), version(), passed(2), version(), passed(3), goes(3)}},
		{"yes: brings an archived version back", direct, []events.Data{version(), passed(1), version(), passed(2), goes(1)}},
		{"yes: does not outrank a gate", direct, []events.Data{version(), passed(1), version(), failed(2), goes(2), version(), goes(3)}},
		{"yes: to what is not there, or live already", direct, []events.Data{goes(1), version(), passed(1), goes(1), goes(7)}},
		{"queue: the newest waits for the end", canary, []events.Data{
			version(), passed(1), version(), passed(2), version(), passed(3), version(), passed(4), version(), failed(5),
			traffic(2, 500, 0, 5), traffic(2, 500, 0, 5),
		}},
		{"queue: an abort ends it too", canary, []events.Data{version(), passed(1), version(), passed(2), version(), passed(3), traffic(2, 100, 50, 5)}},
		{"queue: direct goes live in the same commit", canary, []events.Data{
			version(), passed(1), version(), passed(2), version(), passed(3), setting(direct), traffic(2, 500, 0, 5),
		}},
		{"rejected in the middle of its rollout", canary, []events.Data{version(), passed(1), version(), passed(2), failed(2), traffic(2, 10, 0, 5), passed(2)}},
		{"rollback: from the champion to the one before, and on", direct, []events.Data{
			version(), passed(1), version(), passed(2), version(), passed(3), back(0), back(0), back(0),
		}},
		{"rollback: to a version by name", direct, []events.Data{
			version(), passed(1), version(), passed(2), version(), passed(3), version(), back(1), back(1), back(4), back(9), back(0),
		}},
		{"rollback: of a rollout", canary, []events.Data{version(), passed(1), version(), passed(2), back(0)}},
		{"rollback: of a rollout that has no traffic", directAsked, []events.Data{version(), passed(1), back(0), version(), passed(2)}},
		{"rollback: of nothing", direct, []events.Data{back(0), version(), passed(1), back(0)}},
		{"approved late, twice, or out of order", canary, []events.Data{
			version(), version(), version(), passed(2), passed(1), passed(2), passed(3), passed(2), failed(1), passed(9),
		}},
		{"approved again after it was taken out", canary, []events.Data{version(), passed(1), version(), passed(2), back(0), passed(2), goes(2)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newEnv(t, c.promote)
			s.play(c.events...)
			golden(t, c.name, s.told.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.NewReplacer(" ", "-", ":", "", ",", "").Replace(name)+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s; go test -update writes it anew\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

// Whatever happens in whatever order, the route stays whole: env.check holds
// it after each decision.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	settings := []string{direct, directAsked, canary, canaryAsked, canaryGoBack, canaryGoOn}
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := newEnv(t, settings[r.IntN(len(settings))])
			for range 60 {
				s.play(anything(r, len(s.p.Models), settings)...)
			}
		})
	}
}

// anything is one thing that can happen to a pipeline of so many versions.
func anything(r *rand.Rand, versions int, settings []string) []events.Data {
	one := 1 + r.IntN(versions+1) // one of them, or the one that is not there yet
	switch n := r.IntN(20); {
	case n < 3 || one > versions && n < 8:
		return []events.Data{version()}
	case n < 7:
		return []events.Data{passed(one)}
	case n < 8:
		return []events.Data{failed(one)}
	case n < 10:
		return []events.Data{goes(one)}
	case n < 11:
		return []events.Data{back(r.IntN(2) * one)}
	case n < 16:
		return []events.Data{traffic(one, r.Int64N(600), 0, 5)}
	case n < 17:
		return []events.Data{traffic(one, 100, r.Int64N(10), 5)}
	case n < 18:
		return []events.Data{later(time.Duration(r.IntN(80)) * time.Minute)}
	case n < 19:
		return []events.Data{setting(settings[r.IntN(len(settings))])}
	}
	return []events.Data{tick()}
}

func TestNotConfigured(t *testing.T) {
	t.Parallel()
	s := newEnv(t, direct)
	s.p = state.New("flights")
	s.play(version(), passed(1), goes(1), traffic(1, 1, 0, 1), tick(), back(0))
	if s.p.Route.Champion != 0 || strings.Count(s.told.String(), "nothing: ") != 5 {
		t.Errorf("decided without a configuration:\n%s", s.told.String())
	}
}

func TestHearsWhatItsTriggerSends(t *testing.T) {
	t.Parallel()
	tr, err := triggers.For(Name)
	if err != nil {
		t.Fatal(err)
	}
	m := function.NewMux(Name)
	new(F).Register(m)
	if got, want := fmt.Sprint(m.Types()), fmt.Sprint(tr.Types); got != want {
		t.Errorf("handles %s, its trigger sends %s", got, want)
	}
}

func BenchmarkAdvance(b *testing.B) {
	s := newEnv(b, canary)
	s.play(version(), passed(1), version(), passed(2), traffic(2, 100, 0, 5))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := advance(s.p, s.now); err != nil {
			b.Fatal(err)
		}
	}
}
