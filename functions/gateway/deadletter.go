package gateway

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// DeadLetterRow is an event that a function gave up.
type DeadLetterRow struct {
	Pipeline string `json:"pipeline"`
	*state.DeadLetter
}

// DeadLetter is all of it.
type DeadLetter struct {
	DeadLetterRow
	First    string          `json:"first"`
	Last     string          `json:"last"`
	Rejected bool            `json:"rejected,omitempty"`
	Original events.Envelope `json:"original"`
}

// getDeadLetters lists those of the pipeline, or as of the point, that is asked
// for; else all there are.
func (f *F) getDeadLetters(w http.ResponseWriter, r *http.Request) error {
	load := f.asked
	if r.URL.RawQuery == "" {
		load = func(r *http.Request) ([]*state.Pipeline, error) { return withUnassigned(r.Context(), f.States) }
	}
	ps, err := load(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, each(ps, deadLetterRows))
	return nil
}

func deadLetterRows(p *state.Pipeline) []DeadLetterRow {
	var out []DeadLetterRow
	for _, l := range p.DeadLetters {
		out = append(out, DeadLetterRow{p.Name, l})
	}
	return out
}

func (f *F) getDeadLetter(w http.ResponseWriter, r *http.Request) error {
	l, _, err := f.deadLetter(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, l)
	return nil
}

// deadLetter finds the open dead letter of the request, by its id or the
// beginning of it, with the header of its event.
func (f *F) deadLetter(r *http.Request) (DeadLetter, events.Header, error) {
	none := func(err error) (DeadLetter, events.Header, error) { return DeadLetter{}, events.Header{}, err }
	ps, err := withUnassigned(r.Context(), f.States)
	if err != nil {
		return none(err)
	}
	id := r.PathValue("id")
	var found []DeadLetterRow
	for _, row := range each(ps, deadLetterRows) {
		if row.ID == id || len(id) >= minPrefix && strings.HasPrefix(row.ID, id) {
			found = append(found, row)
		}
	}
	switch len(found) {
	case 0:
		return none(refuse(http.StatusNotFound, "there is no open dead letter %q", id).try("millrace deadletters lists them; one that was sent again or dropped is closed"))
	case 1:
	default:
		var ids []string
		for _, row := range found {
			ids = append(ids, row.ID)
		}
		return none(ambiguous(id, ids))
	}
	l := DeadLetter{DeadLetterRow: found[0]}
	recorded, ok, err := f.Log.Find(r.Context(), l.Pipeline, l.ID)
	if err != nil {
		return none(err)
	}
	if !ok {
		return none(refuse(http.StatusServiceUnavailable, "the dead letter %s cannot be read from the log yet", l.ID))
	}
	letter, err := events.Decode[events.DeadLetterRecorded](recorded)
	if err != nil {
		return none(err)
	}
	l.First, l.Last, l.Rejected, l.Original = letter.Data.First, letter.Data.Last, letter.Data.Rejected, letter.Data.Event
	if len(l.Original.Data) == 0 {
		// Too large to be held twice: it stands in the log under its own id.
		if e, ok, err := f.Log.Find(r.Context(), l.Pipeline, l.Original.ID); err != nil || ok {
			l.Original = e
			return l, recorded.Header, err
		}
	}
	return l, recorded.Header, nil
}

type closing struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// retryDeadLetter sends the event again, to the function that gave it up: a
// new event with its type and data, committed together with the end of the
// dead letter, so that a letter is sent again once.
func (f *F) retryDeadLetter(w http.ResponseWriter, r *http.Request) error {
	var body closing
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	l, recorded, err := f.deadLetter(r)
	if err != nil {
		return err
	}
	data, err := events.DecodeData(l.Original)
	if err != nil {
		data = foreignData{l.Original}
	}
	ctx, cancel := f.committing(r.Context())
	defer cancel()
	view, err := f.States.View(ctx, l.Pipeline)
	if err != nil {
		return err
	}
	again := sentAgain{data, map[string]string{
		events.AttributeTarget: l.Function, events.AttributeRetryOf: l.ID, events.AttributeOriginal: l.Event,
	}}
	c := eventlog.Commit{
		Pipeline: l.Pipeline, Function: Name, Parent: recorded, Cause: events.Cause("deadletter-retry", l.ID),
		Data: []events.Data{again, events.DeadLetterClosed{DeadLetter: l.ID, Action: "retried", By: body.By, Reason: body.Reason}},
	}
	for _, noun := range eventlog.GuardedNouns {
		c.Guards = append(c.Guards, view.Guard(noun))
	}
	done, err := f.Log.Append(ctx, c)
	if errors.Is(err, eventlog.ErrMoved) {
		return refuse(http.StatusConflict, "something else happened to the dead letter or its pipeline meanwhile").try("look at it again")
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(done.Events, func(e events.Envelope) bool { return e.Type == data.EventType() })
	if i < 0 {
		return refuse(http.StatusConflict, "the dead letter %s was closed meanwhile", l.ID)
	}
	writeJSON(w, http.StatusOK, answer{Event: done.Events[i].ID})
	return nil
}

func (f *F) dropDeadLetter(w http.ResponseWriter, r *http.Request) error {
	var body closing
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	l, recorded, err := f.deadLetter(r)
	if err != nil {
		return err
	}
	ctx, cancel := f.committing(r.Context())
	defer cancel()
	done, err := f.Log.Append(ctx, eventlog.Commit{
		Pipeline: l.Pipeline, Function: Name, Parent: recorded,
		Data: []events.Data{events.DeadLetterClosed{DeadLetter: l.ID, Action: "dropped", By: body.By, Reason: body.Reason}},
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer{Event: done.Events[0].ID})
	return nil
}

// sentAgain is data that is announced a second time. It has no origin of its
// own any more, under which it would be a duplicate.
type sentAgain struct {
	data       events.Data
	attributes map[string]string
}

func (s sentAgain) EventType() string            { return s.data.EventType() }
func (s sentAgain) EventSubject() string         { return s.data.EventSubject() }
func (s sentAgain) Validate() error              { return s.data.Validate() }
func (s sentAgain) MarshalJSON() ([]byte, error) { return json.Marshal(s.data) }
func (s sentAgain) Attributes() map[string]string {
	out := maps.Clone(s.attributes)
	if a, ok := s.data.(events.Attributed); ok {
		for k, v := range a.Attributes() {
			if _, ours := out[k]; !ours {
				out[k] = v
			}
		}
	}
	return out
}

// foreignData is the data of an event whose type is not Millrace's.
type foreignData struct{ envelope events.Envelope }

func (d foreignData) EventType() string { return d.envelope.Type }
func (d foreignData) EventSubject() string {
	return strings.TrimPrefix(d.envelope.Subject, d.envelope.Pipeline+"/")
}
func (d foreignData) Validate() error              { return nil }
func (d foreignData) MarshalJSON() ([]byte, error) { return d.envelope.Data, nil }
func (d foreignData) Attributes() map[string]string {
	out := maps.Clone(d.envelope.Attributes)
	delete(out, events.AttributeRecordedTime) // it enters the log anew
	return out
}
