package gateway

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/access"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// getDeadLetters lists the dead letters of the pipeline, or of all, now or at
// the point in the query.
func (f *F) getDeadLetters(w http.ResponseWriter, r *http.Request) error {
	load := f.asked
	if r.URL.RawQuery == "" {
		load = func(r *http.Request) ([]*state.Pipeline, error) { return withUnassigned(r.Context(), f.deps.States) }
	}
	ps, err := load(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, each(ps, deadLetterRows))
	return nil
}

func deadLetterRows(p *state.Pipeline) []api.DeadLetterRow {
	var out []api.DeadLetterRow
	for _, l := range p.DeadLetters {
		out = append(out, api.DeadLetterRow{
			Pipeline: p.Name, ID: l.ID, Event: l.Event, Type: l.Type, Subject: l.Subject, Function: l.Function,
			Attempts: l.Attempts, Reason: l.Reason, Time: l.Time,
		})
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
func (f *F) deadLetter(r *http.Request) (api.DeadLetter, events.Header, error) {
	none := func(err error) (api.DeadLetter, events.Header, error) { return api.DeadLetter{}, events.Header{}, err }
	ps, err := withUnassigned(r.Context(), f.deps.States)
	if err != nil {
		return none(err)
	}
	id := r.PathValue("id")
	var found []api.DeadLetterRow
	for _, row := range each(ps, deadLetterRows) {
		if row.ID == id || len(id) >= events.MinPrefix && strings.HasPrefix(row.ID, id) {
			found = append(found, row)
		}
	}
	switch len(found) {
	case 0:
		return none(httperror.New(http.StatusNotFound, "there is no open dead letter %q", id).Try("millrace deadletters lists them; one that was sent again or dropped is closed"))
	case 1:
	default:
		var ids []string
		for _, row := range found {
			ids = append(ids, row.ID)
		}
		return none(ambiguous(id, ids))
	}
	l := api.DeadLetter{DeadLetterRow: found[0]}
	need := access.Read
	if r.Method != http.MethodGet {
		need = access.Operate
	}
	if err := may(r.Context(), need, l.Pipeline); err != nil {
		return none(err)
	}
	recorded, ok, err := f.deps.Log.Find(r.Context(), l.Pipeline, l.ID)
	if err != nil {
		return none(err)
	}
	if !ok {
		return none(httperror.New(http.StatusServiceUnavailable, "the dead letter %s cannot be read from the log yet", l.ID))
	}
	letter, err := events.Decode[events.DeadLetterRecorded](recorded)
	if err != nil {
		return none(err)
	}
	l.First, l.Last, l.Rejected, l.Original = letter.Data.First, letter.Data.Last, letter.Data.Rejected, letter.Data.Event
	if len(l.Original.Data) == 0 {
		// Too large to be stored twice: it is in the log under its own id.
		if e, ok, err := f.deps.Log.Find(r.Context(), l.Pipeline, l.Original.ID); err != nil || ok {
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
	view, err := f.deps.States.View(ctx, l.Pipeline)
	if err != nil {
		return err
	}
	again := sentAgain{data, map[string]string{
		events.AttributeTarget: l.Function, events.AttributeRetryOf: l.ID, events.AttributeOriginal: l.Event,
	}}
	c := eventlog.Commit{
		Pipeline: l.Pipeline, Function: Name, Parent: recorded, Cause: events.Cause("deadletter-retry", l.ID),
		Attributes: causedBy(ctx),
		Data:       []events.Data{again, events.DeadLetterClosed{DeadLetter: l.ID, Action: "retried", By: body.By, Reason: body.Reason}},
	}
	for _, noun := range eventlog.GuardedNouns {
		c.Guards = append(c.Guards, view.Guard(noun))
	}
	done, err := f.deps.Log.Append(ctx, c)
	if errors.Is(err, eventlog.ErrMoved) {
		return httperror.New(http.StatusConflict, "something else happened to the dead letter or its pipeline meanwhile").Try("look at it again")
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(done.Events, func(e events.Envelope) bool { return e.Type == data.EventType() })
	if i < 0 {
		return httperror.New(http.StatusConflict, "the dead letter %s was closed meanwhile", l.ID)
	}
	writeJSON(w, http.StatusOK, api.Accepted{Event: done.Events[i].ID})
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
	done, err := f.deps.Log.Append(ctx, eventlog.Commit{
		Pipeline: l.Pipeline, Function: Name, Parent: recorded, Attributes: causedBy(ctx),
		Data: []events.Data{events.DeadLetterClosed{DeadLetter: l.ID, Action: "dropped", By: body.By, Reason: body.Reason}},
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, api.Accepted{Event: done.Events[0].ID})
	return nil
}

// sentAgain is data that is emitted a second time. It hides its origin, under
// which it would be a duplicate.
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
	delete(out, events.AttributeRecordedTime) // it gets a new time in the log
	return out
}
