package state

import (
	"millrace.dev/events"
)

// sentAgain folds a retried dead letter. Its effect is already in the state, so
// only event ids change: objects, snapshots and versions that refer to the
// original event refer to the retry from now on, so that functions do not take
// it for superseded.
func (p *Pipeline) sentAgain(h events.Header, data events.Data) bool {
	original := h.Attributes[events.AttributeOriginal]
	switch d := data.(type) {
	case events.ObjectUploaded:
		return p.objectAgain(h, d.Object, original)
	case events.ObjectRemoved:
		return p.objectAgain(h, d.Object, original)
	case events.DatasetValidated:
		if p.Dataset.Event != original {
			return false
		}
		p.Dataset.Event = h.ID
		return true
	case events.TrainingCompleted, events.ModelRegistered:
		m := p.ModelByEvent(original)
		return m != nil && p.changeModel(m.Version, func(m *Model) { m.Event = h.ID })
	}
	return false
}

func (p *Pipeline) objectAgain(h events.Header, o events.Object, original string) bool {
	if old := p.Objects[o.Name()]; old == nil || old.Event != original {
		return false
	}
	return p.changeObject(o, func(o *Object) { o.Event = h.ID })
}
