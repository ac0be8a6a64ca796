package checker

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"millrace.dev/triggers"
)

// Violation is a broken promise.
type Violation struct {
	// Sequence is where in the log it shows; 0 for none.
	Sequence uint64
	Rule     string
	What     string
}

func (v Violation) String() string {
	return fmt.Sprintf("event %d: %s: %s", v.Sequence, v.Rule, v.What)
}

// Expected is what the test knows besides the log.
type Expected struct {
	// Quiet says that nothing was under way when the log ended.
	Quiet bool
	// Promised are the ids of events that were acknowledged to senders.
	Promised []string
	// Good says by an upload's ETag whether its rows satisfy the contract.
	Good map[string]bool
	// Objects are the contents that a bucket holds at the end, by object name;
	// an empty one for an object that was removed.
	Objects map[string]Content
	// Served are states that the API returned.
	Served []Served
}

// Content is the bytes of an object: their digest, and whether they are good.
type Content struct {
	Digest string
	Good   bool
}

// Report is what a check found.
type Report struct {
	Events, Uploads, Runs, Models, Promotions, Served int
	// GivenUp are the dead letters of events during each of whose attempts the
	// process ended: a Millrace that is killed all the time makes them rightly.
	GivenUp    int
	Violations []Violation
}

// checking is a check under way.
type checking struct {
	Report
	expected  Expected
	triggers  []triggers.Trigger
	pipelines map[string]*pipeline
	events    map[string]Event // by id
	// handlings are the events emitted by a function because of a cause.
	handlings map[handling][]Event
}

type handling struct{ pipeline, function, cause string }

// Check folds the log and checks the promises at every commit.
func Check(log []Event, x Expected) (Report, error) {
	ts, _, err := triggers.Embedded()
	if err != nil {
		return Report{}, err
	}
	c := &checking{expected: x, triggers: ts, pipelines: map[string]*pipeline{}, events: map[string]Event{}, handlings: map[handling][]Event{}}
	slices.SortStableFunc(c.expected.Served, func(a, b Served) int { return int(a.Sequence) - int(b.Sequence) })
	c.places(log)
	for _, e := range log {
		c.once(e)
		if e.Index == 1 {
			// A point within a commit means the end of the one before.
			c.servedUpTo(e.Sequence + uint64(e.Size) - 2)
		}
		p := c.pipelines[e.Pipeline]
		if p == nil {
			p = newPipeline()
			c.pipelines[e.Pipeline] = p
		}
		p.fold(e, c.at(e))
		c.count(e)
	}
	c.servedUpTo(math.MaxUint64)
	c.handled(log)
	c.promised()
	if x.Quiet {
		c.settled(log)
	}
	return c.Report, nil
}

func (c *checking) add(sequence uint64, rule, format string, args ...any) {
	c.Violations = append(c.Violations, Violation{sequence, rule, fmt.Sprintf(format, args...)})
}

func (c *checking) at(e Event) fail {
	return func(rule, format string, args ...any) {
		c.add(e.Sequence, rule, "%s %s: %s", e.Pipeline, e.Kind(), fmt.Sprintf(format, args...))
	}
}

func (c *checking) count(e Event) {
	c.Events++
	switch e.Kind() {
	case "object.uploaded":
		c.Uploads++
	case "training.started":
		c.Runs++
	case "model.promoted":
		c.Promotions++
	case "training.completed":
		c.Models++
	}
}

// places checks that sequences have no holes and that each commit is contiguous
// and complete.
func (c *checking) places(log []Event) {
	for i, e := range log {
		if e.Sequence != uint64(i+1) {
			c.add(e.Sequence, "the log has no holes", "it follows on %d", i)
			return
		}
		if e.Index > 1 {
			if b := log[i-1]; b.Index != e.Index-1 || b.Size != e.Size || b.Pipeline != e.Pipeline {
				c.add(e.Sequence, "a commit stands together", "%d of %d follows on %d of %d", e.Index, e.Size, b.Index, b.Size)
			}
		}
		if last := i == len(log)-1; e.Index < e.Size && (last || log[i+1].Index != e.Index+1) {
			c.add(e.Sequence, "a commit is whole", "it ends with %d of %d", e.Index, e.Size)
		}
	}
}

// once checks that an event is in the log once, by its id and by its subject, and
// that its subject agrees with its type.
func (c *checking) once(e Event) {
	for _, name := range []string{"id " + e.ID, "subject " + e.Subject} {
		if b, ok := c.events[name]; ok {
			c.add(e.Sequence, "no event twice", "%s %s stands at %d too", e.Kind(), name, b.Sequence)
		}
		c.events[name] = e
	}
	if e.Pipeline != e.Attributes["pipeline"] && (e.Pipeline != "_" || e.Attributes["pipeline"] != "") {
		c.add(e.Sequence, "a subject says what its event is", "%s is of pipeline %q", e.Subject, e.Attributes["pipeline"])
	}
	if e.Noun != "foreign" && e.Type != prefix+e.Kind()+".v1" {
		c.add(e.Sequence, "a subject says what its event is", "%s is a %s", e.Subject, e.Type)
	}
	h := handling{e.Pipeline, e.Function, e.Cause}
	c.handlings[h] = append(c.handlings[h], e)
}

// record is what a function emitted because of an event, nil if it has not
// handled it.
func (c *checking) record(e Event, function string) []Event {
	return c.handlings[handling{e.Pipeline, function, e.causes()}]
}

// handled checks that what was emitted under one cause was emitted by one
// commit: an event has taken effect once in each function.
func (c *checking) handled(log []Event) {
	for _, e := range log {
		h := handling{e.Pipeline, e.Function, e.Cause}
		if all := c.handlings[h]; all[0].Sequence != e.Sequence {
			continue
		}
		for _, other := range c.handlings[h][1:] {
			if other.Commit() != e.Commit() {
				c.add(other.Sequence, "an event is handled once", "%s announced %s because of %s, for which it had announced %s at %d already",
					e.Function, other.Kind(), c.named(other), e.Kind(), e.Sequence)
			}
		}
	}
}

func (c *checking) named(e Event) string {
	if b, ok := c.events["id "+e.Causation()]; ok {
		return fmt.Sprintf("%s (event %d)", b.Kind(), b.Sequence)
	}
	return "the cause " + e.Cause
}

// promised checks that acknowledged events are in the log.
func (c *checking) promised() {
	for _, id := range c.expected.Promised {
		if _, ok := c.events["id "+id]; !ok {
			c.add(0, "what was acknowledged is not lost", "%s was acknowledged, but it is not in the log", id)
		}
	}
}

// killedEachTime is the reason of a dead letter whose event never failed.
const killedEachTime = "the process ended during each attempt to handle it, and nothing else was being handled"

// deadLetter is the verdict on an upload that was given up on its way.
const deadLetter = "dead letter"

// settled checks what must hold when nothing is under way.
func (c *checking) settled(log []Event) {
	for _, e := range log {
		for _, f := range subscribers(c.triggers, e) {
			if len(c.record(e, f)) == 0 {
				c.add(e.Sequence, "every event is handled", "%s has no record of %s %s of %s", f, e.Kind(), e.ID, e.Pipeline)
			}
		}
		if e.Kind() == "object.uploaded" {
			if v := c.verdicts(e); len(v) != 1 {
				c.add(e.Sequence, "every upload ends in one verdict", "%s %s has %d: %v", e.Pipeline, e.ID, len(v), v)
			}
		}
		if e.Kind() == "deadletter.recorded" {
			d := read[struct{ Reason, Function string }](e, c.at(e))
			if d.Reason == killedEachTime {
				c.GivenUp++
				continue
			}
			c.add(e.Sequence, "only what was killed each time is given up", "%s gave up: %s", d.Function, d.Reason)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.pipelines)) {
		p := c.pipelines[name]
		for _, r := range p.runs {
			if r.status == "started" {
				c.add(0, "a run that started ends", "%s of %s has not", r.id, name)
			}
		}
		c.members(name, p)
	}
}

// verdicts are the ends that an upload came to.
func (c *checking) verdicts(upload Event) []string {
	return c.ends(upload, "ingest", func(e Event) []string {
		switch e.Kind() {
		case "partition.ingested":
			return c.ends(e, "validate", func(e Event) []string {
				switch e.Kind() {
				case "dataset.validated":
					return []string{"validated"}
				case "partition.rejected":
					return []string{"rejected"}
				}
				return nil
			})
		case "partition.rejected":
			return []string{"rejected"}
		case "labels.ingested":
			return []string{"labels"}
		case "object.removed":
			return []string{"gone"}
		}
		return nil
	})
}

// ends are the verdicts in a function's record of an event: of says what an
// announcement means, and a record that emits nothing is one by its reason.
func (c *checking) ends(e Event, function string, of func(Event) []string) []string {
	var out, reasons []string
	labels := false
	for _, r := range c.record(e, function) {
		labels = labels || r.Kind() == "labels.ingested"
		switch r.Kind() {
		case "deadletter.recorded":
			out = append(out, deadLetter)
		case "event.handled":
			var d struct{ Reason string }
			if json.Unmarshal(r.Data, &d) == nil && d.Reason != "" {
				reasons = append(reasons, d.Reason)
			}
		default:
			out = append(out, of(r)...)
		}
	}
	switch {
	case labels:
		return []string{"labels"} // their rows may be a partition besides
	case len(out) > 0:
		return out // an event.handled beside it is the record
	}
	return reasons
}

// members compares the dataset at the end with the uploads.
func (c *checking) members(pipeline string, p *pipeline) {
	for _, name := range p.objects() {
		k := p.keys[name]
		at := slices.IndexFunc(p.members, func(m member) bool { return m.name == name })
		is, known := c.expected.Objects[name]
		good := known && is.Good || !known && c.expected.Good[k.etag]
		if slices.Contains(c.verdicts(c.events["id "+k.event]), deadLetter) {
			continue // it waits for a person to send it again
		}
		switch {
		case known && is.Digest == "" && at >= 0 || k.removed && at >= 0:
			c.add(0, "a snapshot has what was uploaded", "%s has %s, which was removed", pipeline, name)
		case k.removed || known && is.Digest == "":
		case good && at < 0:
			c.add(0, "a snapshot has what was uploaded", "%s lacks %s", pipeline, name)
		case good:
			part := p.ingested[p.members[at].event]
			want := is.Digest
			if !known {
				want = "sha256:" + k.etag
			}
			if part.content != want {
				c.add(0, "a snapshot has what was uploaded", "%s has %s of the bytes %.19s; the newest are %.19s", pipeline, name, part.content, want)
			}
		}
	}
}
