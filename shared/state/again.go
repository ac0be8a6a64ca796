package state

import (
	"millrace.dev/events"
)

// sentAgain folds an event that was sent again because it had become a dead
// letter. Its fact has been folded before and may be long past, so it changes
// nothing but a name: where the state says which event made an object, a
// snapshot or a version what it is, it says the new one from now on, by which
// functions tell that what they handle has not been superseded.
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
