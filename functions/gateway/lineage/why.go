package lineage

import (
	"slices"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// maxWhy bounds the nodes of each of the two trees.
const maxWhy = 500

// Why returns what led to the fact, and what followed from it.
func (h *History) Why(n *Fact) api.Why {
	causes := &tree{next: func(n *Fact) []*Fact { return n.causes }}
	effects := &tree{next: func(n *Fact) []*Fact { return slices.DeleteFunc(slices.Clone(n.effects), quiet) }}
	w := api.Why{Event: *node(n)}
	w.Event.Causes = causes.grow(n, func(n *api.WhyNode) *[]*api.WhyNode { return &n.Causes })
	w.Event.Effects = effects.grow(n, func(n *api.WhyNode) *[]*api.WhyNode { return &n.Effects })
	w.Truncated = causes.truncated || effects.truncated
	w.Lineage = h.lineage(n)
	return w
}

// quiet are effects that tell nothing about what was decided.
func quiet(n *Fact) bool {
	return n.kind == events.TrainingProgressed{}.EventType() || n.kind == events.EventDeferred{}.EventType()
}

func node(n *Fact) *api.WhyNode {
	return &api.WhyNode{
		ID: n.id, Type: n.kind, Pipeline: n.pipeline, Function: n.function, Subject: n.subject,
		Time: n.time, Sequence: n.sequence, Summary: n.summary, Verdicts: n.verdicts,
	}
}

// tree unfolds the graph from one fact on: a fact that is reached twice is
// unfolded once.
type tree struct {
	next      func(*Fact) []*Fact
	seen      map[*Fact]bool
	truncated bool
}

func (t *tree) grow(root *Fact, children func(*api.WhyNode) *[]*api.WhyNode) []*api.WhyNode {
	t.seen = map[*Fact]bool{root: true}
	top := &api.WhyNode{}
	// Breadth first, so that what is left out of too large a tree is what lies
	// farthest.
	type branch struct {
		of *Fact
		at *api.WhyNode
	}
	queue := []branch{{root, top}}
	for len(queue) > 0 {
		b := queue[0]
		queue = queue[1:]
		for _, n := range t.next(b.of) {
			if len(t.seen) > maxWhy {
				t.truncated = true
				return *children(top)
			}
			child := node(n)
			*children(b.at) = append(*children(b.at), child)
			if t.seen[n] {
				child.Repeated, child.Verdicts = true, nil
				continue
			}
			t.seen[n] = true
			queue = append(queue, branch{n, child})
		}
	}
	return *children(top)
}

// lineage is that of the nearest run behind the fact, nil without a run.
func (h *History) lineage(n *Fact) *api.Lineage {
	start := nearestRun(n)
	if start == nil {
		return nil
	}
	d := start.data.(events.TrainingStarted) //nolint:forcetypeassert // nearestRun looks for it
	l := &api.Lineage{Run: d.Run, Snapshot: d.Snapshot, Config: d.Config, Code: d.Code, Params: d.Params}
	if c := h.names[name{start.pipeline, aConfig, d.Config}]; c != nil {
		if configured, ok := c.data.(events.PipelineConfigured); ok {
			l.Commit = configured.Commit
		}
	}
	l.Partitions = h.partitions(start.pipeline, d.Snapshot, start.sequence)
	return l
}

func nearestRun(n *Fact) *Fact {
	seen := map[*Fact]bool{n: true}
	for queue := []*Fact{n}; len(queue) > 0; queue = queue[1:] {
		if _, ok := queue[0].data.(events.TrainingStarted); ok {
			return queue[0]
		}
		for _, c := range queue[0].causes {
			// What was served before a run is not what it is made of.
			if !seen[c] && c.kind != (events.DriftDetected{}).EventType() && c.kind != (events.PredictionsLogged{}).EventType() {
				seen[c] = true
				queue = append(queue, c)
			}
		}
	}
	return nil
}

// partitions are those of the snapshot as it was before the sequence.
func (h *History) partitions(pipeline, snapshot string, before uint64) []api.LineagePartition {
	type member struct {
		api.LineagePartition
		first int
	}
	order := map[string]int{}
	var now []member
	var out []api.LineagePartition
	for _, n := range h.facts {
		d, ok := n.data.(events.DatasetValidated)
		if !ok || n.pipeline != pipeline || n.sequence > before {
			continue
		}
		now = slices.DeleteFunc(now, func(m member) bool {
			return d.Added != nil && m.Object == d.Added.Object.Name() ||
				d.Removed == m.Digest && (d.RemovedObject == "" || d.RemovedObject == m.Object)
		})
		if d.Added != nil {
			object := d.Added.Object.Name()
			if order[object] == 0 {
				order[object] = len(order) + 1
			}
			m := member{api.LineagePartition{Object: object, Digest: d.Added.Data.Digest, Rows: d.Added.Rows}, order[object]}
			if up := upload(n); up != nil {
				m.Upload, m.Time = up.id, up.time
			}
			at, _ := slices.BinarySearchFunc(now, m, func(a, b member) int { return a.first - b.first })
			now = slices.Insert(now, at, m)
		}
		if d.Snapshot == snapshot {
			out = make([]api.LineagePartition, len(now))
			for i, m := range now {
				out[i] = m.LineagePartition
			}
		}
	}
	return out
}

// upload is the event that brought what a snapshot took in.
func upload(n *Fact) *Fact {
	for range 8 {
		if n.kind == (events.ObjectUploaded{}).EventType() {
			return n
		}
		if len(n.causes) == 0 {
			return nil
		}
		n = n.causes[len(n.causes)-1]
	}
	return nil
}
