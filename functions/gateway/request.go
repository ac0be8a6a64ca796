package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// answer names the event that a request made.
type answer struct {
	Event string `json:"event"`
}

// maxRequest bounds the JSON body of a request.
const maxRequest = 1 << 20

// readJSON reads a body strictly; an empty one leaves v as it is.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := readBody(w, r, maxRequest)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return refuse(http.StatusBadRequest, "the body is not what is asked for: %v", err)
	}
	return nil
}

// ask makes a handler of something a person asks of a pipeline: the body is
// the event's data, which check may complete or refuse. Each request is one
// of its own, unless the client names it by an Idempotency-Key.
func ask[D events.Data](f *F, check func(*state.Pipeline, D) (D, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := f.pipeline(r.Context(), r.PathValue("pipeline"))
		if err != nil {
			return err
		}
		var d D
		if err := readJSON(w, r, &d); err != nil {
			return err
		}
		if d, err = check(p, d); err != nil {
			return err
		}
		if err := d.Validate(); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			key = rand.Text()
		}
		ctx, cancel := f.committing(r.Context())
		defer cancel()
		e, _, err := f.announce(ctx, p.Name, events.Cause("request", d.EventType(), key), d)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusAccepted, answer{Event: e.ID})
		return nil
	}
}

func (f *F) retrain(p *state.Pipeline, d events.TrainingRequested) (events.TrainingRequested, error) {
	switch {
	case !p.Config.Trains():
		return d, refuse(http.StatusConflict, "the pipeline %s does not train", p.Name).try("its file has no train section; register a model instead")
	case p.Dataset.Snapshot == "":
		return d, refuse(http.StatusConflict, "the pipeline %s has no data yet", p.Name).try("upload some first: %s", list(p.Config.Spec.Data.Uploads))
	case d.Snapshot != "":
		full, err := snapshotOf(p, d.Snapshot)
		if err != nil {
			return d, err
		}
		d.Snapshot = full
	}
	return d, nil
}

// snapshotOf gives the digest that begins with the given one.
func snapshotOf(p *state.Pipeline, begin string) (string, error) {
	var found []string
	for _, s := range p.Dataset.Snapshots {
		if s.Digest == begin || len(begin) >= minPrefix && (events.Short(s.Digest) == begin || hasDigest(s.Digest, begin)) {
			found = append(found, s.Digest)
		}
	}
	slices.Sort(found)
	switch found = slices.Compact(found); len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", refuse(http.StatusNotFound, "the pipeline %s has no snapshot %q", p.Name, begin).try("millrace datasets %s lists them", p.Name)
	}
	return "", ambiguous(begin, found)
}

func hasDigest(digest, begin string) bool {
	trim := func(s string) []byte { return bytes.TrimPrefix([]byte(s), []byte("sha256:")) }
	return bytes.HasPrefix(trim(digest), trim(begin))
}

func (f *F) evaluate(p *state.Pipeline, d events.EvaluationRequested) (events.EvaluationRequested, error) {
	if d.Version == 0 {
		d.Version = len(p.Models)
	}
	return d, hasVersion(p, d.Version)
}

func (f *F) promote(p *state.Pipeline, d events.PromotionApproved) (events.PromotionApproved, error) {
	if d.Version == 0 {
		return d, refuse(http.StatusBadRequest, "version is missing: it says which version is promoted")
	}
	if err := hasVersion(p, d.Version); err != nil {
		return d, err
	}
	m := p.Model(d.Version)
	switch {
	case m.State == state.Champion && p.Rollout == nil:
		return d, refuse(http.StatusConflict, "v%d is the champion of %s already", d.Version, p.Name)
	case m.State == state.Rejected:
		reason := "it failed a gate"
		if m.Evaluation != nil {
			reason = m.Evaluation.Reason
		}
		return d, refuse(http.StatusConflict, "v%d of %s was rejected: %s", d.Version, p.Name, reason).
			try("change the gates of the pipeline and have it judged again: POST /api/pipelines/%s/evaluate", p.Name)
	case !m.Approved:
		return d, refuse(http.StatusConflict, "v%d of %s has not been approved by its gates yet", d.Version, p.Name)
	}
	return d, nil
}

func (f *F) rollback(p *state.Pipeline, d events.RollbackRequested) (events.RollbackRequested, error) {
	switch {
	case d.To != 0:
		if err := hasVersion(p, d.To); err != nil {
			return d, err
		}
		if d.To == p.Route.Champion && p.Rollout == nil {
			return d, refuse(http.StatusConflict, "v%d is the champion of %s already", d.To, p.Name)
		}
		if m := p.Model(d.To); !m.Served {
			return d, refuse(http.StatusConflict, "v%d of %s has never been the champion", d.To, p.Name).try("use promote to make it one")
		}
	case p.Rollout != nil: // is aborted
	case p.Route.Champion == 0:
		return d, refuse(http.StatusConflict, "the pipeline %s serves no model yet", p.Name)
	case len(p.Route.Champions) == 0:
		return d, refuse(http.StatusConflict, "v%d is the first champion of %s: there is none to go back to", p.Route.Champion, p.Name)
	}
	return d, nil
}

// Registered is the answer to a registration.
type Registered struct {
	Event  string `json:"event"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	// Version is the model's number; 0 if it is not known yet.
	Version int `json:"version,omitempty"`
	// Duplicate says that the same model had been registered under that name.
	Duplicate bool `json:"duplicate,omitempty"`
}

// registerModel takes a model that was trained elsewhere: one ONNX file.
func (f *F) registerModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := checkKey("models/" + name); err != nil {
		return err
	}
	p, err := f.pipeline(r.Context(), r.PathValue("pipeline"))
	if err != nil {
		return err
	}
	file, err := f.store(w, r, name)
	if err != nil {
		return err
	}
	if file.Size == 0 {
		return refuse(http.StatusBadRequest, "the model is empty").try("send the bytes of model.onnx as the body")
	}
	ctx, cancel := f.committing(r.Context())
	defer cancel()
	model := events.Model{Format: "onnx", Digest: file.Digest, Files: []events.File{{Name: "model.onnx", Ref: file}}}
	e, duplicate, err := f.announce(ctx, p.Name, events.Cause("register", name, file.Digest), events.ModelRegistered{
		Model: model, Name: name, By: r.URL.Query().Get("by"),
	})
	if err != nil {
		return err
	}
	out := Registered{Event: e.ID, Digest: file.Digest, Size: file.Size, Duplicate: duplicate}
	if p, err = f.States.Load(ctx, p.Name); err != nil {
		return err
	}
	if m := modelOf(p, e.ID, file); m != nil {
		out.Version = m.Version
	}
	writeJSON(w, http.StatusCreated, out)
	return nil
}

// modelOf finds the version an event made; a model whose event was sent again
// is found by its digest.
func modelOf(p *state.Pipeline, event string, file events.Ref) *state.Model {
	if m := p.ModelByEvent(event); m != nil {
		return m
	}
	i := slices.IndexFunc(p.Models, func(m *state.Model) bool { return m.Run == "" && m.Model.Digest == file.Digest })
	if i < 0 {
		return nil
	}
	return p.Models[i]
}
