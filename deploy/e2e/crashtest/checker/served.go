package checker

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Served is a pipeline's state as the API gave it.
type Served struct {
	Pipeline string
	// Sequence is how far of the log it is a fold.
	Sequence uint64
	State    json.RawMessage
}

// servedUpTo compares the states that were given for a point up to here with
// the fold as it is.
func (c *checking) servedUpTo(sequence uint64) {
	for len(c.expected.Served) > 0 && c.expected.Served[0].Sequence <= sequence {
		s := c.expected.Served[0]
		c.expected.Served = c.expected.Served[1:]
		p := c.pipelines[s.Pipeline]
		if p == nil {
			continue
		}
		c.Served++
		got, err := essentialsOf(s.State)
		if err != nil {
			c.add(s.Sequence, "a state can be read", "%s: %v", s.Pipeline, err)
			continue
		}
		if want := p.essentials(); got != want {
			c.add(s.Sequence, "a state is the fold", "%s was given as\n\t%s\nand is\n\t%s", s.Pipeline, got, want)
		}
	}
}

// essentials is the pipeline in one line.
func (p *pipeline) essentials() string {
	var members, runs, models []string
	for _, m := range p.members {
		members = append(members, fmt.Sprintf("%d %s %s %d", m.order, m.name, m.digest, m.rows))
	}
	for _, r := range p.runs {
		runs = append(runs, fmt.Sprintf("%s %s %s v%d", r.id, r.key, r.status, r.version))
	}
	for i, m := range p.models {
		models = append(models, fmt.Sprintf("v%d %s of %q approved %t served %t", i+1, m.state, m.run, m.approved, m.served))
	}
	under := "none"
	if r := p.rollout; r != nil {
		under = fmt.Sprintf("v%d at step %d, waits %t", r.version, r.step, r.waits)
	}
	snapshot := p.snapshot
	return line(snapshot, members, len(p.keys), runs, models, p.weights, p.champion, p.champions, under, p.batches, p.predicted)
}

func line(snapshot string, members []string, objects int, runs, models []string, ws []weight, champion int, champions []int, under string, batches, rows int64) string {
	return fmt.Sprintf("snapshot %s of %q; %d objects; runs %q; models %q; route %v, champion v%d after %v; rollout %s; %d batches, %d rows",
		snapshot, members, objects, runs, models, ws, champion, champions, under, batches, rows)
}

// essentialsOf reads the same of a state's JSON.
func essentialsOf(state json.RawMessage) (string, error) {
	var s struct {
		Objects map[string]json.RawMessage
		Dataset struct {
			Snapshot   string
			Partitions []struct {
				Object object
				Data   ref
				Rows   int64
				Order  int
			}
		}
		Runs []struct {
			Run, Key, Status string
			Version          int
		}
		Models []struct {
			Version          int
			State, Run       string
			Approved, Served bool
		}
		Route struct {
			Weights   []weight
			Champion  int
			Champions []int
		}
		Rollout *struct {
			Version, Step int
			Waiting       bool
		}
		Predictions struct{ Batches, Rows int64 }
	}
	if err := json.Unmarshal(state, &s); err != nil {
		return "", err
	}
	var members, runs, models []string
	for _, m := range s.Dataset.Partitions {
		members = append(members, fmt.Sprintf("%d %s %s %d", m.Order, m.Object.name(), m.Data.Digest, m.Rows))
	}
	for _, r := range s.Runs {
		runs = append(runs, fmt.Sprintf("%s %s %s v%d", r.Run, r.Key, r.Status, r.Version))
	}
	for _, m := range s.Models {
		models = append(models, fmt.Sprintf("v%d %s of %q approved %t served %t", m.Version, m.State, m.Run, m.Approved, m.Served))
	}
	under := "none"
	if r := s.Rollout; r != nil {
		under = fmt.Sprintf("v%d at step %d, waits %t", r.Version, r.Step, r.Waiting)
	}
	return line(s.Dataset.Snapshot, members, len(s.Objects), runs, models, slices.Clone(s.Route.Weights), s.Route.Champion, s.Route.Champions, under,
		s.Predictions.Batches, s.Predictions.Rows), nil
}
