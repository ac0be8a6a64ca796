package replay

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/summary"
)

// essence returns what a decision does, without its reasons and figures: one
// text for each event that matters, sorted.
func essence(announced []events.Envelope) []string {
	var out []string
	for _, e := range announced {
		d, err := events.DecodeData(e)
		if err != nil {
			out = append(out, e.Type)
			continue
		}
		switch d := d.(type) {
		case events.EventHandled:
			continue
		case events.RolloutStarted:
			out = append(out, fmt.Sprint(e.Type, d.Version, d.Steps, d.Weights, d.Waits))
		case events.RolloutAdvanced:
			out = append(out, fmt.Sprint(e.Type, d.Version, d.Step, d.Weights, d.Waits))
		case events.RolloutAborted:
			out = append(out, fmt.Sprint(e.Type, d.Version, d.Weights))
		case events.RolloutCompleted:
			out = append(out, fmt.Sprint(e.Type, d.Version, d.Weights))
		case events.Attributed:
			a := d.Attributes()
			for _, k := range slices.Sorted(maps.Keys(a)) {
				a[k] = k + "=" + a[k]
			}
			out = append(out, e.Type+" "+strings.Join(slices.Sorted(maps.Values(a)), " "))
		default:
			out = append(out, e.Type)
		}
	}
	slices.Sort(out)
	return out
}

// decision describes the emitted events.
func decision(announced []events.Envelope) api.ReplayDecision {
	d := api.ReplayDecision{Announced: []string{}, Says: []string{}}
	for _, e := range announced {
		if e.Type == (events.EventHandled{}).EventType() {
			if len(announced) == 1 {
				d.Says = append(d.Says, summary.Of(e))
			}
			continue
		}
		noun, past := events.Words(e.Type)
		d.Announced = append(d.Announced, noun+"."+past)
		d.Says = append(d.Says, summary.Of(e))
		if ev, _, ok := evaluation(e); ok {
			d.Verdicts = ev.Verdicts
		}
	}
	return d
}

// evaluation decodes the evaluation in an event.
func evaluation(e events.Envelope) (ev events.Evaluation, approved, ok bool) {
	if d, err := events.Decode[events.ModelApproved](e); err == nil {
		return d.Data.Evaluation, true, true
	}
	if d, err := events.Decode[events.ModelRejected](e); err == nil {
		return d.Data.Evaluation, false, true
	}
	return ev, false, false
}

// versionOf returns the version that the events are about, 0 if they name no version.
func versionOf(announced []events.Envelope) int {
	for _, e := range announced {
		if v, err := strconv.Atoi(e.Attributes["version"]); err == nil {
			return v
		}
	}
	return 0
}

// versions formats a list of versions: "v4", "v4 and v7", "v1, v4 and v7".
func versions(vs []int) string {
	vs = slices.Compact(slices.Sorted(slices.Values(vs)))
	words := make([]string, len(vs))
	for i, v := range vs {
		words[i] = "v" + strconv.Itoa(v)
	}
	return list(words)
}

func list(words []string) string {
	switch n := len(words); n {
	case 0:
		return "none"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}
