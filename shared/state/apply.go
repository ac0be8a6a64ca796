package state

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
)

// Apply returns the state after the event. It returns p itself when the event
// changes nothing: an unknown type, data that cannot be read, an event of
// another pipeline.
func Apply(p *Pipeline, e events.Envelope) *Pipeline {
	if e.Pipeline != p.Name {
		return p
	}
	data, err := events.DecodeData(e)
	if err != nil {
		return p
	}
	next := *p
	apply := next.apply
	if e.Attributes[events.AttributeRetryOf] != "" {
		apply = next.sentAgain
	}
	if !apply(e.Header, data) {
		return p
	}
	return &next
}

// apply changes p, a shallow copy: what p points to is shared, and is copied
// before it is changed.
func (p *Pipeline) apply(h events.Header, data events.Data) bool {
	switch d := data.(type) {
	case events.PipelineConfigured:
		return p.configured(h, d)
	case events.ObjectUploaded:
		return p.object(h, d.Object, ObjectUploaded, d.Content)
	case events.ObjectRemoved:
		return p.object(h, d.Object, ObjectRemoved, events.Ref{})
	case events.PartitionIngested:
		return p.ingested(h, d)
	case events.PartitionRejected:
		return p.rejected(h, d)
	case events.PartitionRemoved:
		return true
	case events.ReingestProgressed:
		return p.reingested(h, d)
	case events.LabelsIngested:
		return p.labelled(h, d)
	case events.DatasetValidated:
		return p.validated(h, d)
	case events.DatasetLate:
		p.Dataset.Late = &Late{DatasetLate: d, Time: h.Time}
		return true
	case events.TrainingStarted:
		return p.runStarted(h, d)
	case events.TrainingProgressed:
		return p.changeRun(d.Run, func(r *Run) { r.progress(d) })
	case events.TrainingCompleted:
		return p.runCompleted(h, d)
	case events.TrainingFailed:
		return p.changeRun(d.Run, func(r *Run) { r.fail(h, d) })
	case events.TrainingSkipped:
		return p.skipped(h, d)
	case events.ModelRegistered:
		p.addModel(&Model{State: Candidate, Name: d.Name, Model: d.Model, Created: h.Time, Event: h.ID})
		return true
	case events.ModelApproved:
		return p.judged(d.Evaluation, true)
	case events.ModelRejected:
		return p.judged(d.Evaluation, false)
	case events.RolloutStarted:
		return p.rolloutStarted(h, d)
	case events.RolloutAdvanced:
		return p.rolloutAdvanced(h, d)
	case events.RolloutCompleted:
		return p.rolloutCompleted(h, d)
	case events.RolloutAborted:
		return p.rolloutAborted(h, d)
	case events.PredictionsLogged:
		return p.predicted(h, d)
	case events.ScheduleTicked:
		return p.ticked(d)
	case events.DriftChecked:
		return p.checked(h, d.DriftCheck, "", false)
	case events.DriftDetected:
		return p.checked(h, d.DriftCheck, d.Action, true)
	case events.EventHandled:
		return p.handled(d)
	case events.DeadLetterRecorded:
		return p.deadLetter(h, d)
	case events.DeadLetterClosed:
		p.DeadLetters = slices.DeleteFunc(slices.Clone(p.DeadLetters), func(l *DeadLetter) bool { return l.ID == d.DeadLetter })
		return true
	}
	return false
}

func (p *Pipeline) configured(h events.Header, d events.PipelineConfigured) bool {
	c, err := config.FromJSON(d.Spec)
	if err != nil {
		return false
	}
	if p.Config == nil || p.Config.Spec.Data.Expect != c.Spec.Data.Expect {
		p.Dataset.Late = nil
	}
	old := p.Config
	p.Config = c
	p.scheduled(old, h)
	p.noteContract(d.Digest, contractOf(c, d.Prepared))
	p.Configured = Configured{Digest: d.Digest, Bundle: d.Bundle, Dir: d.Dir, Commit: d.Commit, Time: h.Time, Imported: h.Imported()}
	return true
}

func (p *Pipeline) object(h events.Header, o events.Object, status ObjectStatus, kept events.Ref) bool {
	name := o.Name()
	old := p.Objects[name]
	if old != nil && olderThan(o.Sequencer, old.Sequencer) {
		return false
	}
	next := &Object{Object: o, Event: h.ID, Status: status, Kept: kept, Time: h.Time}
	if old != nil {
		next.Order, next.Arrival, next.Content, next.Config, next.Partition = old.Order, old.Arrival, old.Content, old.Config, old.Partition
		next.Before, next.Reason, next.SetAside = old.Before, old.Reason, old.SetAside
		if old.Status != ObjectUploaded {
			next.Before = old.Status
		}
		if next.Sequencer == "" { // from a sweep: late notifications must still be recognized
			next.Sequencer = old.Sequencer
		}
	} else {
		p.Uploads++
		next.Order = p.Uploads
	}
	if status == ObjectUploaded {
		p.Arrivals++
		next.Arrival = p.Arrivals
	}
	if status == ObjectRemoved {
		next.Content, next.Config = "", ""
	}
	p.setObject(name, next)
	return true
}

// handled restores the former status of an object when ingest found nothing to
// do for its newest upload, for example because the bytes are the same.
func (p *Pipeline) handled(d events.EventHandled) bool {
	if d.Function != "ingest" || d.Type != (events.ObjectUploaded{}).EventType() {
		return false
	}
	for _, o := range p.Objects {
		if o.Event == d.Event && o.Status == ObjectUploaded && o.Before != "" {
			return p.changeObject(o.Object, func(o *Object) { o.Status, o.Before = o.Before, "" })
		}
	}
	return false
}

// olderThan compares the sequencers of one key: hex numbers as text, padded to
// equal length. It returns false if either is missing.
func olderThan(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	n := max(len(a), len(b))
	return strings.ToUpper(strings.Repeat("0", n-len(a))+a) < strings.ToUpper(strings.Repeat("0", n-len(b))+b)
}

func (p *Pipeline) setObject(name string, o *Object) {
	p.Objects = maps.Clone(p.Objects)
	if p.Objects == nil {
		p.Objects = map[string]*Object{}
	}
	p.Objects[name] = o
}

func (p *Pipeline) changeObject(o events.Object, change func(*Object)) bool {
	old := p.Objects[o.Name()]
	if old == nil {
		return false
	}
	next := *old
	change(&next)
	p.setObject(o.Name(), &next)
	return true
}

// answers reports whether an event is the result of the object's newest upload;
// read is the upload that it names if another event led to it. Results of older
// uploads are only in the log.
func (o *Object) answers(h events.Header, read string) bool {
	if read != "" {
		return read == o.Event
	}
	return h.CausationID == o.Event || h.CausationID == ""
}

// settle updates the status of the last processed bytes, even if a newer upload
// or removal is pending.
func (o *Object) settle(from, to ObjectStatus) {
	switch {
	case o.Status == from:
		o.Status = to
	case o.Before == from:
		o.Before = to
	}
}

func (p *Pipeline) ingested(h events.Header, d events.PartitionIngested) bool {
	return p.changeObject(d.Object, func(o *Object) {
		if !o.answers(h, d.Upload) {
			return
		}
		o.Status, o.Before, o.Content, o.Config, o.Partition, o.Reason = ObjectIngested, "", d.Content, d.Config, d.Data.Digest, ""
		o.SetAside = nil
		if d.SetAside.Rows > 0 {
			o.SetAside = &SetAside{Rows: d.SetAside.Rows, Data: d.SetAside.Data}
		}
		if m := p.Dataset.Partition(d.Object.Name()); m != nil && m.Data.Digest == d.Data.Digest {
			o.Status = ObjectValid
			p.rereadPartition(d.Object.Name(), d.Data.Digest, d.Config)
		}
	})
}

func (p *Pipeline) rejected(h events.Header, d events.PartitionRejected) bool {
	return p.changeObject(d.Object, func(o *Object) {
		switch {
		case d.Stage == "validate" && o.Partition == d.Data.Digest:
			o.settle(ObjectIngested, ObjectRejected)
		case d.Stage != "validate" && o.answers(h, d.Upload):
			o.Status, o.Before, o.Content, o.Config = ObjectRejected, "", d.Content, d.Config
		default:
			return
		}
		if len(d.Problems) > 0 {
			o.Reason = d.Problems[0].String()
		}
	})
}

func (p *Pipeline) labelled(h events.Header, d events.LabelsIngested) bool {
	p.changeObject(d.Object, func(o *Object) {
		if !o.answers(h, "") {
			return
		}
		if o.Status == ObjectUploaded {
			o.Status, o.Before = ObjectLabels, ""
		}
		o.Content, o.Config, o.Reason = d.Content, d.Config, ""
	})
	p.Labels = last(p.Labels, MaxLabels, &Labels{
		Object: d.Object, Data: d.Data, Joined: d.Joined, Rows: d.Rows, Matched: d.Matched, Unmatched: d.Unmatched, Time: h.Time,
	})
	return true
}

func (p *Pipeline) validated(h events.Header, d events.DatasetValidated) bool {
	ds := &p.Dataset
	partitions := slices.DeleteFunc(slices.Clone(ds.Partitions), func(m *Partition) bool {
		name := m.Object.Name()
		return m.Data.Digest == d.Removed && (d.RemovedObject == "" || d.RemovedObject == name) ||
			d.Added != nil && name == d.Added.Object.Name()
	})
	if d.Added != nil {
		m := &Partition{DatasetPartition: *d.Added, Time: h.Time}
		p.changeObject(d.Added.Object, func(o *Object) {
			m.Order = o.Order
			if o.Partition == d.Added.Data.Digest {
				m.Config = o.Config
			}
			if o.Partition == d.Added.Data.Digest {
				o.settle(ObjectIngested, ObjectValid)
			}
		})
		at, _ := slices.BinarySearchFunc(partitions, m, func(a, b *Partition) int { return a.Order - b.Order })
		partitions = slices.Insert(partitions, at, m)
		ds.NewRows += d.Added.Rows
		ds.NewPartitions++
		ds.Added, ds.Late = h.Time, nil
	}
	ds.Partitions = partitions
	ds.Snapshot, ds.Manifest, ds.Profile, ds.Rows, ds.Time, ds.Event = d.Snapshot, d.Manifest, d.Profile, d.Rows, h.Time, h.ID
	ds.Index, ds.Superseded = d.Index, d.Superseded
	ds.Snapshots = last(ds.Snapshots, MaxSnapshots, &Snapshot{
		Digest: d.Snapshot, Partitions: d.Partitions, Rows: d.Rows, Manifest: d.Manifest, Profile: d.Profile,
		Warnings: d.Warnings, Time: h.Time, Event: h.ID,
	})
	return true
}

func (p *Pipeline) deadLetter(h events.Header, d events.DeadLetterRecorded) bool {
	p.DeadLetters = append(slices.Clip(p.DeadLetters), &DeadLetter{
		ID: h.ID, Event: d.Event.ID, Type: d.Event.Type, Subject: d.Event.Subject, Function: d.Function,
		Attempts: d.Attempts, Reason: d.Reason, Time: h.Time,
	})
	return true
}

// last appends x to a copy of s and keeps the newest n.
func last[T any](s []T, n int, x T) []T {
	if len(s) >= n {
		s = s[len(s)-n+1:]
	}
	return append(slices.Clip(s), x)
}

// Digest names the fold's shape: a cached state of another shape is not read.
// Raise it with every change of the types or of what Apply does.
const Digest = "2026-11-10"

// Encode returns the state as canonical JSON: equal states have equal bytes.
func (p *Pipeline) Encode() ([]byte, error) { return json.Marshal(p) }
