package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

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
		return httperror.New(http.StatusBadRequest, "the body is not a valid request: %v", err)
	}
	return nil
}

// ask returns a handler of a person's request to a pipeline: the body is the
// event's data, which check may complete or refuse. Each request is new, unless
// the client identifies it by an Idempotency-Key.
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
			return httperror.New(http.StatusBadRequest, "%v", err)
		}
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			key = rand.Text()
		}
		ctx, cancel := f.committing(r.Context())
		defer cancel()
		e, _, err := f.emit(ctx, p.Name, events.Cause("request", d.EventType(), key), d)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusAccepted, api.Accepted{Event: e.ID})
		return nil
	}
}

func (f *F) retrain(p *state.Pipeline, d events.TrainingRequested) (events.TrainingRequested, error) {
	switch {
	case !p.Config.Trains():
		return d, httperror.New(http.StatusConflict, "the pipeline %s does not train", p.Name).Try("its file has no train section; register a model instead")
	case p.Dataset.Snapshot == "":
		return d, httperror.New(http.StatusConflict, "the pipeline %s has no data yet", p.Name).Try("upload some first: %s", list(p.Config.Spec.Data.Uploads))
	case d.Snapshot != "":
		full, err := snapshotOf(p, d.Snapshot)
		if err != nil {
			return d, err
		}
		d.Snapshot = full
	}
	if err := p.Config.Spec.Train.CheckParams(d.Params); err != nil {
		return d, httperror.New(http.StatusBadRequest, "%v", err)
	}
	return d, nil
}

// snapshotOf returns the digest that begins with the given one.
func snapshotOf(p *state.Pipeline, begin string) (string, error) {
	var found []string
	for _, s := range p.Dataset.Snapshots {
		if s.Digest == begin || len(begin) >= events.MinPrefix && (events.Short(s.Digest) == begin || hasDigest(s.Digest, begin)) {
			found = append(found, s.Digest)
		}
	}
	slices.Sort(found)
	switch found = slices.Compact(found); len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", httperror.New(http.StatusNotFound, "the pipeline %s has no snapshot %q", p.Name, begin).Try("millrace datasets %s lists them", p.Name)
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
		return d, httperror.New(http.StatusBadRequest, "version is missing: it says which version is promoted")
	}
	if err := hasVersion(p, d.Version); err != nil {
		return d, err
	}
	m := p.Model(d.Version)
	switch {
	case m.State == state.Champion && p.Rollout == nil:
		return d, httperror.New(http.StatusConflict, "v%d is the champion of %s already", d.Version, p.Name)
	case m.State == state.Rejected:
		reason := "it failed a gate"
		if m.Evaluation != nil {
			reason = m.Evaluation.Reason
		}
		return d, httperror.New(http.StatusConflict, "v%d of %s was rejected: %s", d.Version, p.Name, reason).
			Try("change the gates of the pipeline and evaluate it again: POST /api/pipelines/%s/evaluate", p.Name)
	case !m.Approved:
		return d, httperror.New(http.StatusConflict, "v%d of %s has not been approved by its gates yet", d.Version, p.Name)
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
			return d, httperror.New(http.StatusConflict, "v%d is the champion of %s already", d.To, p.Name)
		}
		if m := p.Model(d.To); !m.Served {
			return d, httperror.New(http.StatusConflict, "v%d of %s has never been the champion", d.To, p.Name).Try("use promote to make it one")
		}
	case p.Rollout != nil: // is aborted
	case p.Route.Champion == 0:
		return d, httperror.New(http.StatusConflict, "the pipeline %s serves no model yet", p.Name)
	case len(p.Route.Champions) == 0:
		return d, httperror.New(http.StatusConflict, "v%d is the first champion of %s: there is no earlier champion to go back to", p.Route.Champion, p.Name)
	}
	return d, nil
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
		return httperror.New(http.StatusBadRequest, "the model is empty").Try("send the bytes of model.onnx as the body")
	}
	ctx, cancel := f.committing(r.Context())
	defer cancel()
	model := events.Model{Format: "onnx", Digest: file.Digest, Files: []events.File{{Name: "model.onnx", Ref: file}}}
	e, duplicate, err := f.emit(ctx, p.Name, events.Cause("register", name, file.Digest), events.ModelRegistered{
		Model: model, Name: name, By: r.URL.Query().Get("by"),
	})
	if err != nil {
		return err
	}
	out := api.Registered{Event: e.ID, Digest: file.Digest, Size: file.Size, Duplicate: duplicate}
	if p, err = f.deps.States.Load(ctx, p.Name); err != nil {
		return err
	}
	if m := modelOf(p, e.ID, file); m != nil {
		out.Version = m.Version
	}
	writeJSON(w, http.StatusCreated, out)
	return nil
}

// modelOf returns the version that an event created; a model whose event was
// sent again is found by its digest.
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
