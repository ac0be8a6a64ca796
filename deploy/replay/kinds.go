package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	driftcheck "millrace.dev/functions/drift-check"
	"millrace.dev/functions/evaluate"
	"millrace.dev/functions/promote"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/function"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

type reader = *artifact.Store

// kind is what differs between the functions that can be replayed.
type kind struct {
	build func(function.Deps) (function.Function, error)
	// believe restores in the state what the record says about the state that
	// the decision saw.
	believe func(context.Context, reader, *state.Pipeline, []events.Envelope)
	summary func(*shadow) string
}

// shadows has the functions that decide from the log alone. The others do work
// outside the log, or request it.
var shadows = map[string]kind{
	evaluate.Name:   {made(evaluate.New), evaluated, evaluateSummary},
	promote.Name:    {made(promote.New), nothing, promoteSummary},
	driftcheck.Name: {made(driftcheck.New), nothing, driftSummary},
}

// made returns a constructor that reads the function's configuration from the
// environment.
func made[C any, F function.Function](build func(C, function.Deps) (F, error)) func(function.Deps) (function.Function, error) {
	return func(d function.Deps) (function.Function, error) {
		c, err := env.ParseAs[C]()
		if err != nil {
			return nil, err
		}
		return build(c, d)
	}
}

func nothing(context.Context, reader, *state.Pipeline, []events.Envelope) {}

// maxReport bounds the report of an evaluation.
const maxReport = 64 << 20

// evaluated adds the recorded evaluation to the state, so that its figures are
// used, and the champion that it compared with: the champion may have changed
// while the evaluation ran.
func evaluated(ctx context.Context, artifacts reader, p *state.Pipeline, record []events.Envelope) {
	for _, e := range record {
		ev, _, ok := evaluation(e)
		m := p.Model(ev.Version)
		if !ok || m == nil {
			continue
		}
		known := *m
		known.Evaluation = &ev
		p.Models = slices.Clone(p.Models)
		p.Models[ev.Version-1] = &known
		raw, err := artifacts.Bytes(ctx, ev.Report, maxReport)
		var report events.EvaluationReport
		if err == nil && json.Unmarshal(raw, &report) == nil && report.Rows > 0 {
			if report.Against != 0 || p.Route.Champion != ev.Version {
				p.Route.Champion = report.Against
			}
		}
	}
}

// measured returns how many evaluations the shadow computed from rows.
func measured(registry *prometheus.Registry) int {
	families, err := registry.Gather()
	if err != nil {
		return 0
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() != evaluate.MetricEvaluations {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == "rows" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return int(n)
}

func evaluateSummary(s *shadow) string {
	promotions := map[int]bool{}
	for _, e := range s.recorded {
		if ev, approved, ok := evaluation(e); ok && approved && s.promoted[ev.Version] {
			promotions[ev.Version] = true
		}
	}
	var blocked, refused, admitted, undecided []int
	for _, d := range s.report.Differences {
		was, is := slices.Contains(d.Recorded.Announced, "model.approved"), slices.Contains(d.Replayed.Announced, "model.approved")
		switch {
		case d.Replayed.Error != "":
			undecided = append(undecided, d.Version)
		case was && !is && promotions[d.Version]:
			blocked = append(blocked, d.Version)
		case was && !is:
			refused = append(refused, d.Version)
		case is && !was:
			admitted = append(admitted, d.Version)
		}
	}
	var parts []string
	if blocked != nil {
		parts = append(parts, fmt.Sprintf("blocks %d of %s; %s", len(blocked), humanize.Count(len(promotions), "promotion"), versions(blocked)))
	}
	if refused != nil {
		parts = append(parts, fmt.Sprintf("rejects %s, which was approved and never promoted", versions(refused)))
	}
	if admitted != nil {
		parts = append(parts, fmt.Sprintf("approves %s, rejected then", versions(admitted)))
	}
	if undecided != nil {
		parts = append(parts, fmt.Sprintf("could not judge %s", versions(undecided)))
	}
	return s.sentence("verdict", parts)
}

// sentence returns the summary made of its parts.
func (s *shadow) sentence(noun string, parts []string) string {
	if len(parts) > 0 {
		return strings.Join(parts, "; ")
	}
	switch n, other := s.report.Replayed, len(s.report.Differences); {
	case n == 0:
		return fmt.Sprintf("%s decided nothing in that range", s.request.Function)
	case other > 0:
		return fmt.Sprintf("%d of %s would differ", other, humanize.Count(n, noun))
	case n == 1:
		return fmt.Sprintf("the only %s is unchanged", noun)
	default:
		return fmt.Sprintf("all %s are unchanged", humanize.Count(n, noun))
	}
}

// end is the last state of a version's rollout.
type end struct{ word, reason string }

// ends returns the last state of each version's newest rollout.
func ends(announced []events.Envelope) map[int]end {
	out := map[int]end{}
	for _, e := range announced {
		switch d, _ := events.DecodeData(e); d := d.(type) {
		case events.RolloutStarted:
			out[d.Version] = end{"under way", d.Reason}
		case events.RolloutCompleted:
			out[d.Version] = end{"promoted", d.Reason}
		case events.RolloutAborted:
			out[d.Version] = end{"aborted", d.Reason}
		}
	}
	return out
}

func promoteSummary(s *shadow) string {
	then, now := ends(s.recorded), ends(s.replayed)
	all := maps.Clone(then)
	maps.Copy(all, now)
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(all)) {
		was, is := then[v], now[v]
		if was.word == is.word {
			continue
		}
		part := fmt.Sprintf("v%d is %s", v, is.word)
		if is.word == "" {
			part = fmt.Sprintf("v%d is not rolled out", v)
		}
		if was.word != "" {
			part += " instead of " + was.word
		}
		if is.reason != "" {
			part += " (" + is.reason + ")"
		}
		parts = append(parts, part)
	}
	if a, b := s.then.Route.Champion, s.now.Route.Champion; a != b {
		parts = append(parts, fmt.Sprintf("v%d serves at the end instead of v%d", b, a))
	}
	if len(parts) == 0 && len(s.report.Differences) > 0 {
		parts = append(parts, fmt.Sprintf("%s end as recorded, by other steps: %d of %s differ",
			humanize.Count(len(all), "rollout"), len(s.report.Differences), humanize.Count(s.report.Replayed, "decision")))
	}
	return s.sentence("decision", parts)
}

func driftSummary(s *shadow) string {
	detected := func(announced []events.Envelope) (n int) {
		for _, e := range announced {
			if e.Type == (events.DriftDetected{}).EventType() {
				n++
			}
		}
		return n
	}
	var parts []string
	if was, is := detected(s.recorded), detected(s.replayed); was != is {
		parts = append(parts, fmt.Sprintf("detects drift %s, not %s", times(is), times(was)))
	}
	return s.sentence("decision", parts)
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
