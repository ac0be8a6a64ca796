package gateway

import (
	"slices"
	"strconv"
	"time"

	"millrace.dev/events"
)

// Why says how something came about, and what came of it.
type Why struct {
	// Event is what was asked for. Its causes lead back to the origins, its
	// effects forward.
	Event WhyNode `json:"event"`
	// Lineage is what the run behind it was made of, if there is a run.
	Lineage *Lineage `json:"lineage,omitempty"`
	// Truncated says that there are more causes or effects than are shown.
	Truncated bool `json:"truncated,omitempty"`
}

// WhyNode is one event in the tree of causes or effects.
type WhyNode struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Pipeline string    `json:"pipeline"`
	Function string    `json:"function,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Time     time.Time `json:"time"`
	Sequence uint64    `json:"sequence"`
	// Summary says in one line what the event says.
	Summary  string           `json:"summary"`
	Verdicts []events.Verdict `json:"verdicts,omitempty"`
	// Repeated says that the event stands elsewhere in the tree, with what
	// belongs to it.
	Repeated bool       `json:"repeated,omitempty"`
	Causes   []*WhyNode `json:"causes,omitempty"`
	Effects  []*WhyNode `json:"effects,omitempty"`
}

// Lineage is what a run was made of.
type Lineage struct {
	Run      string         `json:"run"`
	Snapshot string         `json:"snapshot"`
	Config   string         `json:"config"`
	Commit   string         `json:"commit,omitempty"`
	Code     string         `json:"code"`
	Params   map[string]any `json:"params,omitempty"`
	// Partitions are those of the snapshot, in its order.
	Partitions []LineagePartition `json:"partitions"`
}

// LineagePartition is one member of a snapshot.
type LineagePartition struct {
	Object string `json:"object"`
	Digest string `json:"digest"`
	Rows   int64  `json:"rows"`
	// Upload is the id of the event that brought it, Time when.
	Upload string    `json:"upload,omitempty"`
	Time   time.Time `json:"time,omitzero"`
}

// maxWhy bounds the nodes of each of the two trees.
const maxWhy = 500

// why tells of a fact of the history.
func (h *history) why(n *fact) Why {
	causes := &tree{next: func(n *fact) []*fact { return n.causes }}
	effects := &tree{next: func(n *fact) []*fact { return slices.DeleteFunc(slices.Clone(n.effects), quiet) }}
	w := Why{Event: *node(n)}
	w.Event.Causes = causes.grow(n, func(n *WhyNode) *[]*WhyNode { return &n.Causes })
	w.Event.Effects = effects.grow(n, func(n *WhyNode) *[]*WhyNode { return &n.Effects })
	w.Truncated = causes.truncated || effects.truncated
	w.Lineage = h.lineage(n)
	return w
}

// quiet are effects that tell nothing about what was decided.
func quiet(n *fact) bool {
	return n.kind == events.TrainingProgressed{}.EventType() || n.kind == events.EventDeferred{}.EventType()
}

func node(n *fact) *WhyNode {
	return &WhyNode{
		ID: n.id, Type: n.kind, Pipeline: n.pipeline, Function: n.function, Subject: n.subject,
		Time: n.time, Sequence: n.sequence, Summary: n.summary, Verdicts: n.verdicts,
	}
}

// tree unfolds the graph from one fact on: a fact that is reached twice is
// unfolded once.
type tree struct {
	next      func(*fact) []*fact
	seen      map[*fact]bool
	truncated bool
}

func (t *tree) grow(root *fact, children func(*WhyNode) *[]*WhyNode) []*WhyNode {
	t.seen = map[*fact]bool{root: true}
	top := &WhyNode{}
	// Breadth first, so that what is left out of too large a tree is what lies
	// farthest.
	type branch struct {
		of *fact
		at *WhyNode
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

// lineage is that of the nearest run behind the fact, nil if there is none.
func (h *history) lineage(n *fact) *Lineage {
	start := nearestRun(n)
	if start == nil {
		return nil
	}
	d := start.data.(events.TrainingStarted) //nolint:forcetypeassert // nearestRun looks for it
	l := &Lineage{Run: d.Run, Snapshot: d.Snapshot, Config: d.Config, Code: d.Code, Params: d.Params}
	if c := h.names[name{start.pipeline, aConfig, d.Config}]; c != nil {
		if configured, ok := c.data.(events.PipelineConfigured); ok {
			l.Commit = configured.Commit
		}
	}
	l.Partitions = h.partitions(start.pipeline, d.Snapshot, start.sequence)
	return l
}

func nearestRun(n *fact) *fact {
	seen := map[*fact]bool{n: true}
	for queue := []*fact{n}; len(queue) > 0; queue = queue[1:] {
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
func (h *history) partitions(pipeline, snapshot string, before uint64) []LineagePartition {
	type member struct {
		LineagePartition
		first int
	}
	order := map[string]int{}
	var now []member
	var out []LineagePartition
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
			m := member{LineagePartition{Object: object, Digest: d.Added.Data.Digest, Rows: d.Added.Rows}, order[object]}
			if up := upload(n); up != nil {
				m.Upload, m.Time = up.id, up.time
			}
			at, _ := slices.BinarySearchFunc(now, m, func(a, b member) int { return a.first - b.first })
			now = slices.Insert(now, at, m)
		}
		if d.Snapshot == snapshot {
			out = make([]LineagePartition, len(now))
			for i, m := range now {
				out[i] = m.LineagePartition
			}
		}
	}
	return out
}

// upload is the event that brought what a snapshot took in.
func upload(n *fact) *fact {
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

func itoa(n int) string { return strconv.Itoa(n) }
