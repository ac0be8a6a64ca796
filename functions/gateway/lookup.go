package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/lineage"
	"millrace.dev/shared/access"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

func (f *F) getEvent(w http.ResponseWriter, r *http.Request) error {
	e, err := f.find(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	b, err := json.Marshal(shown(e))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/cloudevents+json")
	_, _ = w.Write(append(b, '\n'))
	return nil
}

// find returns the event whose id is the given one, or begins with it.
func (f *F) find(r *http.Request, id string) (events.Envelope, error) {
	var found []events.Envelope
	for e, err := range f.deps.Log.Read(r.Context(), eventlog.Filter{Pipeline: r.URL.Query().Get("pipeline")}) {
		if err != nil {
			return events.Envelope{}, err
		}
		if e.ID == id {
			return e, nil
		}
		if len(id) >= events.MinPrefix && strings.HasPrefix(e.ID, id) && len(found) <= maxAmbiguous {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return events.Envelope{}, httperror.New(http.StatusNotFound, "the log has no event %q", id).Try("an id, or at least %d characters of its beginning", events.MinPrefix)
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, e := range found {
		ids = append(ids, e.ID)
	}
	return events.Envelope{}, ambiguous(id, ids)
}

const maxAmbiguous = 10

func ambiguous(id string, what []string) error {
	return httperror.New(http.StatusConflict, "%q is ambiguous", id).Try("write more of it: %s", list(what))
}

// aVersion is how a person writes a version: v3, or flights/v3.
var aVersion = regexp.MustCompile(`^(?:([a-z0-9-]+)/)?v([0-9]{1,9})$`)

func (f *F) getWhy(w http.ResponseWriter, r *http.Request) error {
	word := r.PathValue("id")
	pipeline := r.URL.Query().Get("pipeline")
	if m := aVersion.FindStringSubmatch(word); m != nil {
		p, version, err := f.versionOf(r, m[1], pipeline, m[2])
		if err != nil {
			return err
		}
		pipeline, word = p.Name, p.Model(version).Event
	}
	h := lineage.New()
	for e, err := range f.deps.Log.Read(r.Context(), eventlog.Filter{Pipeline: pipeline}) {
		if err != nil {
			return err
		}
		h.Add(e)
	}
	found := h.Find(word)
	switch {
	case len(found) == 0:
		return f.unknown(r, word)
	case len(found) > 1:
		var what []string
		for _, n := range found {
			what = append(what, n.ID()+" ("+n.Summary()+")")
		}
		return ambiguous(word, what)
	}
	writeJSON(w, http.StatusOK, h.Why(found[0]))
	return nil
}

// unknown says that nothing in the log is called word, or that it is a pipeline.
func (f *F) unknown(r *http.Request, word string) error {
	known, err := f.deps.Log.Pipelines(r.Context())
	if err != nil {
		return err
	}
	what := "an event's id, a run, a version (flights/v2), a snapshot's or partition's digest, or an upload's key"
	if slices.Contains(known, word) {
		return httperror.New(http.StatusNotFound, "%s is a pipeline; why explains one thing of it", word).
			Try("millrace status %s for its state; or %s", word, what)
	}
	return httperror.New(http.StatusNotFound, "the log knows nothing of %q", word).Try("%s", what)
}

// versionOf finds the pipeline and version that a person means: the only
// pipeline need not be named.
func (f *F) versionOf(r *http.Request, named, asked, digits string) (*state.Pipeline, int, error) {
	if named == "" {
		named = asked
	}
	if named == "" {
		known, err := f.deps.Log.Pipelines(r.Context())
		if err != nil {
			return nil, 0, err
		}
		if len(known) != 1 {
			return nil, 0, ambiguous("v"+digits, known)
		}
		named = known[0]
	}
	if err := may(r.Context(), access.Read, named); err != nil {
		return nil, 0, err
	}
	p, err := f.pipeline(r.Context(), named)
	if err != nil {
		return nil, 0, err
	}
	version, err := strconv.Atoi(digits)
	if err != nil {
		return nil, 0, err
	}
	return p, version, hasVersion(p, version)
}

func hasVersion(p *state.Pipeline, version int) error {
	switch {
	case p.Model(version) != nil:
		return nil
	case len(p.Models) == 0:
		return httperror.New(http.StatusNotFound, "the pipeline %s has no model yet", p.Name)
	case len(p.Models) == 1:
		return httperror.New(http.StatusNotFound, "the pipeline %s has no v%d; it has only v1", p.Name, version)
	}
	return httperror.New(http.StatusNotFound, "the pipeline %s has no v%d; it has v1 to v%d", p.Name, version, len(p.Models))
}
