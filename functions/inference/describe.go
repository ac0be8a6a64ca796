package inference

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/access"
)

func (f *F) server(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"name": serverName, "version": protocolVersion, "extensions": extensions})
}

const serverName = "millrace"

// protocolVersion is the version of this server's answers.
const protocolVersion = "1"

// extensions are those of the protocol that this server has.
var extensions = []string{"binary_tensor_data", "model_repository"}

func (f *F) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]bool{"live": true})
}

func (f *F) ready(w http.ResponseWriter, r *http.Request) {
	err := f.Ready(r.Context())
	code, answer := http.StatusOK, map[string]any{"live": true, "ready": err == nil}
	if err != nil {
		code = http.StatusServiceUnavailable
		answer["error"] = err.Error()
	}
	writeJSON(w, code, answer)
}

// list names the models that can be called.
// list lists the models that are served and that the caller may ask.
func (f *F) list(w http.ResponseWriter, r *http.Request) {
	names := []string{}
	t := f.routing.Load()
	for _, name := range t.names {
		if len(t.models[name].shares) > 0 && access.Check(r.Context(), access.Predict|access.Read, name) == nil {
			names = append(names, name)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": names})
}

func (f *F) describeModel(w http.ResponseWriter, r *http.Request) {
	d, err := f.metadata(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, d)
}

func (f *F) metadata(ctx context.Context, model, version string) (codec.Metadata, error) {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return codec.Metadata{}, err
	}
	v, err := f.named(ctx, s, version)
	if err != nil {
		return codec.Metadata{}, err
	}
	defer v.release()
	d := codec.Metadata{
		Name: s.name, Versions: s.versions(), Platform: "onnxruntime_onnx", Inputs: v.schema.Inputs, Outputs: v.schema.Outputs,
		Properties: map[string]string{"version": v.schema.Version, "created": v.created, "task": v.schema.Contract.Task},
	}
	if len(v.schema.Contract.Classes) > 0 {
		classes, _ := json.Marshal(v.schema.Contract.Classes) // strings marshal always
		d.Properties["classes"] = string(classes)
	}
	for _, sh := range s.shares {
		if sh.version.number == v.number {
			d.Properties["route"] = sh.route
		}
	}
	return d, nil
}

// named acquires the version of a number, else the champion.
func (f *F) named(ctx context.Context, s *served, text string) (*version, error) {
	if text != "" {
		return f.pinned(ctx, s, text)
	}
	v := s.champion()
	if v == nil {
		return nil, codec.Errorf(http.StatusServiceUnavailable, "%s", s.reason)
	}
	if !v.acquire() {
		return nil, codec.Errorf(http.StatusServiceUnavailable, "the route of %s has just changed; ask again", s.name)
	}
	return v, nil
}

func (f *F) modelReady(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("model")
	is, why, err := f.readiness(name, r.PathValue("version"))
	switch {
	case err != nil:
		writeError(w, err)
	case !is:
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"name": name, "ready": false, "error": why})
	default:
		writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
	}
}

// readiness reports whether a model, or a version of it, answers without waiting,
// and why if it does not.
func (f *F) readiness(model, version string) (is bool, why string, err error) {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return false, "", err
	}
	if version == "" {
		if why := s.stuck(); why != "" {
			return false, why, nil
		}
		return len(s.shares) > 0, s.reason, nil
	}
	number, err := s.number(version)
	if err != nil {
		return false, "", err
	}
	return f.versions.loaded(versionKey{s.name, number}), fmt.Sprintf("version %d is loaded when it is asked for", number), nil
}
