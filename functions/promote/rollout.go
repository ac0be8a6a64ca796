package promote

import (
	"fmt"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// start begins the rollout of a version. With ask no traffic moves yet.
func start(p *state.Pipeline, version int, reason string, ask bool) ([]events.Data, error) {
	return startFrom(p, p.Route.Champion, p.Route.Weights, version, reason, ask), nil
}

// startFrom is start with the champion and the route as they will be after the earlier events of the same commit.
func startFrom(p *state.Pipeline, champion int, route []events.Weight, version int, reason string, ask bool) []events.Data {
	strategy := p.Config.Spec.Promote.Strategy
	if champion == 0 {
		strategy = config.StrategyDirect // there is no champion to compare with
	}
	d := events.RolloutStarted{Version: version, Previous: champion, Strategy: strategy, Weights: route, Waits: ask, Reason: reason}
	if strategy == config.StrategyCanary {
		for _, s := range p.Config.Spec.Promote.Steps {
			d.Steps = append(d.Steps, float64(s))
		}
	}
	if change := otherColumns(p, version); ask && change != nil {
		d.Reason += "; " + change.String()
	}
	if ask {
		d.Reason += "; no traffic moves until a person approves"
		return []events.Data{d}
	}
	d.Weights = split(champion, version, percent(d.Steps, 0))
	if percent(d.Steps, 0) < 100 {
		return []events.Data{d}
	}
	return append([]events.Data{d}, promotion(champion, version, events.Evidence{}, reason)...)
}

// next takes the next step of the rollout: the first traffic, more of it, or the promotion.
func next(p *state.Pipeline, reason string) ([]events.Data, error) {
	r := p.Rollout
	step := r.Step + 1
	if !moving(p) {
		step = 0
	}
	if share := percent(r.Steps, step); share < 100 {
		return []events.Data{events.RolloutAdvanced{
			Version: r.Version, Step: step, Weights: split(p.Route.Champion, r.Version, share), Evidence: evidence(p), Reason: reason,
		}}, nil
	}
	data := promotion(p.Route.Champion, r.Version, evidence(p), reason)
	return append(data, afterwards(p, r.Version, r.Version)...), nil
}

// pause keeps the traffic as it is until a person decides.
func pause(p *state.Pipeline, reason string) ([]events.Data, error) {
	r := p.Rollout
	return []events.Data{events.RolloutAdvanced{
		Version: r.Version, Step: r.Step, Weights: p.Route.Weights, Evidence: evidence(p), Waits: true, Reason: reason,
	}}, nil
}

// promotion makes a version the champion.
func promotion(champion, version int, ev events.Evidence, reason string) []events.Data {
	return []events.Data{
		events.RolloutCompleted{Version: version, Weights: all(version), Evidence: ev, Reason: reason},
		events.ModelPromoted{Version: version, Previous: champion, Reason: reason},
	}
}

// aborted returns the events that end the rollout and return all traffic to the champion. A version without traffic is not
// reported as rolled back.
func aborted(p *state.Pipeline, guardrail, reason, by string) []events.Data {
	r, champion := p.Rollout, p.Route.Champion
	d := events.RolloutAborted{Version: r.Version, Guardrail: guardrail, Reason: reason, By: by}
	if champion != 0 {
		d.Weights = all(champion)
	}
	if !moving(p) {
		return []events.Data{d}
	}
	d.Evidence = evidence(p)
	return []events.Data{d, events.ModelRolledBack{Version: r.Version, To: champion, Reason: reason, By: by}}
}

// abort ends the rollout and starts the version that waited for its end, if there is one.
func abort(p *state.Pipeline, guardrail, reason, by string) ([]events.Data, error) {
	return append(aborted(p, guardrail, reason, by), afterwards(p, p.Rollout.Version, p.Route.Champion)...), nil
}

// replace ends the rollout in favour of another version.
func replace(p *state.Pipeline, version int, reason, by string, ask bool) ([]events.Data, error) {
	champion := p.Route.Champion
	return append(aborted(p, "", reason, by), startFrom(p, champion, allOrNone(champion), version, reason, ask)...), nil
}

// afterwards starts the version that waited for the end of a rollout. champion is the champion after that end.
func afterwards(p *state.Pipeline, ended, champion int) []events.Data {
	version := waiting(p, ended)
	if version == 0 {
		return nil
	}
	reason := fmt.Sprintf("v%d is approved and waited for the end of the rollout of v%d", version, ended)
	return startFrom(p, champion, allOrNone(champion), version, reason, asks(p, version))
}

// moving reports whether the version being rolled out has traffic.
func moving(p *state.Pipeline) bool { return p.Route.Percent(p.Rollout.Version) > 0 }

// percent returns the traffic share of a step; after the last one it is 100.
func percent(steps []float64, step int) float64 {
	if step >= len(steps) {
		return 100
	}
	return steps[step]
}

// split returns a route in which the version has its share and the champion the rest.
func split(champion, version int, share float64) []events.Weight {
	if share >= 100 || champion == 0 {
		return all(version)
	}
	return []events.Weight{{Version: champion, Percent: 100 - share}, {Version: version, Percent: share}}
}

func all(version int) []events.Weight { return []events.Weight{{Version: version, Percent: 100}} }

func allOrNone(champion int) []events.Weight {
	if champion == 0 {
		return nil
	}
	return all(champion)
}
