package checker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// ref and object are shapes within the events.
type ref struct {
	URL    string `json:"url"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

type object struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Sequencer string `json:"sequencer"`
	ETag      string `json:"etag"`
}

func (o object) name() string {
	if o.Bucket == "" {
		return o.Key
	}
	return o.Bucket + "/" + o.Key
}

type weight struct {
	Version int     `json:"version"`
	Percent float64 `json:"percent"`
}

// pipeline is the checker's own fold: the essentials.
type pipeline struct {
	keys       map[string]*key
	uploads    map[string]object    // by event
	ingested   map[string]partition // by event
	members    []member
	snapshot   string
	runs       []*run
	models     []*model
	weights    []weight
	champion   int
	champions  []int
	rollout    *rollout
	batches    int64
	predicted  int64
	configured bool
}

// key is one object, newest first known.
type key struct {
	order     int
	event     string // newest upload or removal
	sequencer string
	removed   bool
	etag      string
}

type partition struct {
	object  object
	digest  string
	rows    int64
	content string
	upload  string // the event that it came of
}

type member struct {
	name, digest string
	rows         int64
	order        int
	event        string // the partition.ingested that brought it
}

type run struct {
	id, key, status string
	version         int
}

type model struct {
	state, run       string
	approved, served bool
	everApproved     bool
}

type rollout struct {
	version, step int
	waits         bool
}

func newPipeline() *pipeline {
	return &pipeline{keys: map[string]*key{}, uploads: map[string]object{}, ingested: map[string]partition{}}
}

// fail is how apply says what should not be.
type fail func(rule, format string, args ...any)

// fold brings the pipeline up to the event, and says what must not follow on
// what was there.
func (p *pipeline) fold(e Event, bad fail) {
	if e.Attributes["retryof"] != "" {
		return // asks to try again and has no news
	}
	switch e.Kind() {
	case "pipeline.configured":
		p.configured = true
	case "object.uploaded", "object.removed":
		p.seen(e, bad)
	case "partition.ingested":
		p.came(e, bad)
	case "dataset.validated":
		p.joined(e, bad)
	case "training.started", "training.completed", "training.failed":
		p.trained(e, bad)
	case "model.registered":
		p.models = append(p.models, &model{state: "candidate"})
	case "model.approved", "model.rejected":
		p.judged(e, bad)
	case "rollout.started", "rollout.advanced", "rollout.completed", "rollout.aborted":
		p.moved(e, bad)
	case "predictions.logged":
		d := read[struct{ Rows int64 }](e, bad)
		p.batches++
		p.predicted += d.Rows
	}
}

func read[T any](e Event, bad fail) (d T) {
	if err := json.Unmarshal(e.Data, &d); err != nil {
		bad("events can be read", "%v", err)
	}
	return d
}

func (p *pipeline) seen(e Event, bad fail) {
	o := read[object](e, bad)
	p.uploads[e.ID] = o
	k := p.keys[o.name()]
	if k == nil {
		k = &key{order: len(p.keys) + 1}
		p.keys[o.name()] = k
	} else if older(o.Sequencer, k.sequencer) {
		return
	}
	if o.Sequencer != "" {
		k.sequencer = o.Sequencer
	}
	k.event, k.removed, k.etag = e.ID, e.Past == "removed", o.ETag
}

// older compares sequencers of one key, which are hex numbers.
func older(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	n := max(len(a), len(b))
	pad := func(s string) string { return strings.ToUpper(strings.Repeat("0", n-len(s)) + s) }
	return pad(a) < pad(b)
}

func (p *pipeline) came(e Event, bad fail) {
	d := read[struct {
		Object  object
		Data    ref
		Rows    int64
		Content string
		Upload  string // that a reingest read
	}](e, bad)
	upload := cmp.Or(d.Upload, e.Causation())
	if _, ok := p.uploads[upload]; !ok {
		bad("a partition comes of an upload", "%s comes of %s, which is no upload", d.Object.name(), upload)
	}
	p.ingested[e.ID] = partition{d.Object, d.Data.Digest, d.Rows, d.Content, upload}
}

// joined checks a snapshot against the one before: what it says it is must be
// what the partitions are together, so that none is forgotten.
func (p *pipeline) joined(e Event, bad fail) {
	d := read[struct {
		Snapshot, Removed, RemovedObject string
		Added                            *struct {
			Object object
			Data   ref
			Rows   int64
		}
		Partitions int
		Rows       int64
	}](e, bad)
	p.members = slices.DeleteFunc(slices.Clone(p.members), func(m member) bool {
		return m.digest == d.Removed && (d.RemovedObject == "" || d.RemovedObject == m.name) || d.Added != nil && m.name == d.Added.Object.name()
	})
	if d.Added != nil {
		name := d.Added.Object.name()
		from, ok := p.ingested[e.Causation()]
		if !ok || from.object.name() != name || from.digest != d.Added.Data.Digest || from.rows != d.Added.Rows {
			bad("a member comes of a partition", "%s in snapshot %.19s is not the partition that led to it", name, d.Snapshot)
		}
		m := member{name: name, digest: d.Added.Data.Digest, rows: d.Added.Rows, event: e.Causation()}
		if k := p.keys[name]; k != nil {
			m.order = k.order
		}
		at, _ := slices.BinarySearchFunc(p.members, m, func(a, b member) int { return a.order - b.order })
		p.members = slices.Insert(p.members, at, m)
	}
	h, rows := sha256.New(), int64(0)
	for _, m := range p.members {
		fmt.Fprintln(h, m.digest)
		rows += m.rows
	}
	p.snapshot = "sha256:" + hex.EncodeToString(h.Sum(nil))
	if d.Snapshot != p.snapshot || d.Partitions != len(p.members) || d.Rows != rows {
		bad("a snapshot is all its partitions", "it says %d partitions, %d rows, %.19s; they are %d, %d, %.19s", d.Partitions, d.Rows, d.Snapshot, len(p.members), rows, p.snapshot)
	}
}

func (p *pipeline) trained(e Event, bad fail) {
	d := read[struct{ Run, Key, Snapshot string }](e, bad)
	at := slices.IndexFunc(p.runs, func(r *run) bool { return r.id == d.Run })
	if e.Past == "started" {
		if at >= 0 || slices.ContainsFunc(p.runs, func(r *run) bool { return r.key == d.Key }) {
			bad("a run key starts once", "%s was started before", d.Run)
			return
		}
		p.runs = append(p.runs, &run{id: d.Run, key: d.Key, status: "started"})
		return
	}
	if at < 0 || p.runs[at].status != "started" {
		bad("a run ends once", "%s ends and is not under way", d.Run)
		return
	}
	r := p.runs[at]
	if r.status = e.Past; e.Past == "completed" {
		p.models = append(p.models, &model{state: "candidate", run: d.Run})
		r.version = len(p.models)
	}
}

func (p *pipeline) model(version int) *model {
	if version < 1 || version > len(p.models) {
		return nil
	}
	return p.models[version-1]
}

func (p *pipeline) judged(e Event, bad fail) {
	d := read[struct{ Version int }](e, bad)
	m := p.model(d.Version)
	if m == nil {
		bad("what is judged is there", "v%d is not", d.Version)
		return
	}
	m.approved = e.Past == "approved"
	m.everApproved = m.everApproved || m.approved
	switch {
	case !m.approved && m.state == "candidate":
		m.state = "rejected"
	case m.approved && m.state == "rejected":
		m.state = "candidate"
	}
}

// moved folds what changes the route, and holds it against what was under way.
func (p *pipeline) moved(e Event, bad fail) {
	d := read[struct {
		Version, Previous, Step int
		Weights                 []weight
		Waits                   bool
	}](e, bad)
	m := p.model(d.Version)
	if m == nil {
		bad("what is rolled out is there", "v%d is not", d.Version)
		return
	}
	under := p.rollout != nil && p.rollout.version == d.Version
	switch e.Past {
	case "started":
		if p.rollout != nil {
			bad("one rollout at a time", "v%d begins while v%d is under way", d.Version, p.rollout.version)
		}
		if d.Previous != p.champion {
			bad("a rollout knows the champion", "v%d begins beside v%d, and v%d is the champion", d.Version, d.Previous, p.champion)
		}
		if !m.approved {
			bad("what goes live was approved", "v%d was not", d.Version)
		}
		p.rollout, m.state = &rollout{d.Version, 0, d.Waits}, "canary"
	case "advanced":
		if !under {
			bad("a step belongs to the rollout under way", "v%d is not under way", d.Version)
			return
		}
		next := p.rollout.step + 1
		if d.Waits || p.share(d.Version) == 0 {
			next = p.rollout.step
		}
		if d.Step != next {
			bad("steps follow each other", "v%d goes from step %d to step %d", d.Version, p.rollout.step, d.Step)
		}
		p.rollout.step, p.rollout.waits = d.Step, d.Waits
	case "completed":
		if !under {
			bad("what is completed was under way", "v%d was not", d.Version)
		}
		if old := p.model(p.champion); old != nil && p.champion != d.Version {
			old.state = "archived"
			p.champions = append(slices.Clone(p.champions), p.champion)
		}
		p.champion, p.rollout, m.state, m.served = d.Version, nil, "champion", true
	case "aborted":
		p.aborted(d.Version, d.Weights, under, bad)
	}
	if len(d.Weights) > 0 {
		p.weights = d.Weights
	}
	p.routed(bad)
}

func (p *pipeline) aborted(version int, ws []weight, under bool, bad fail) {
	p.model(version).state = "archived"
	switch {
	case under:
		p.rollout = nil
	case version != p.champion || len(ws) == 0:
		bad("what is aborted was under way or the champion", "v%d was neither", version)
	}
	if version != p.champion || len(ws) == 0 {
		return
	}
	to := slices.MaxFunc(ws, func(a, b weight) int { return int(math.Copysign(1, a.Percent-b.Percent)) }).Version
	if m := p.model(to); m == nil || !m.served {
		bad("a rollback goes to a former champion", "v%d has never been one", to)
	} else {
		m.state = "champion"
	}
	p.champion = to
	p.champions = slices.DeleteFunc(slices.Clone(p.champions), func(v int) bool { return v == to })
}

func (p *pipeline) share(version int) float64 {
	for _, w := range p.weights {
		if w.Version == version {
			return w.Percent
		}
	}
	return 0
}

// routed holds the route against what every route must be.
func (p *pipeline) routed(bad fail) {
	sum := 0.0
	for _, w := range p.weights {
		sum += w.Percent
		switch m := p.model(w.Version); {
		case m == nil || !m.everApproved:
			bad("what has traffic was approved", "v%d has %g per cent and was not", w.Version, w.Percent)
		case w.Percent > 0 && w.Version != p.champion && (p.rollout == nil || p.rollout.version != w.Version):
			bad("traffic goes to the champion and the canary", "v%d has %g per cent and is neither", w.Version, w.Percent)
		}
	}
	if len(p.weights) > 0 && math.Abs(sum-100) > 1e-6 {
		bad("weights sum to 100", "they sum to %g", sum)
	}
	var champions []int
	for i, m := range p.models {
		if m.state == "champion" {
			champions = append(champions, i+1)
		}
	}
	if len(champions) > 1 || p.champion != 0 && !slices.Equal(champions, []int{p.champion}) {
		bad("there is one champion", "v%d is, and %v call themselves so", p.champion, champions)
	}
	if m := p.model(p.champion); m != nil && !m.everApproved {
		bad("a champion was approved", "v%d was not", p.champion)
	}
}

// objects lists the names of all objects, sorted.
func (p *pipeline) objects() []string { return slices.Sorted(maps.Keys(p.keys)) }
