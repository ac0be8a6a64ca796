package inference

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
)

// anyPoint is a place in the traffic for a request that has no key.
func anyPoint() uint64 { return rand.Uint64N(whole) }

// sampled says whether a request's rows are logged.
func (s *served) sampled() bool { return s.sample >= 1 || rand.Float64() < s.sample }

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // whoever does not listen any more misses it
}

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

// list names the models that can be asked.
func (f *F) list(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	t := f.routing.Load()
	for _, name := range t.names {
		if len(t.models[name].shares) > 0 {
			names = append(names, name)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": names})
}

// described is a model's metadata.
type described struct {
	Name       string            `json:"name"`
	Versions   []string          `json:"versions"`
	Platform   string            `json:"platform"`
	Inputs     []tensorInfo      `json:"inputs"`
	Outputs    []tensorInfo      `json:"outputs"`
	Properties map[string]string `json:"properties"`
}

// describeModel gives the metadata of the champion, or of the version named.
func (f *F) describeModel(w http.ResponseWriter, r *http.Request) {
	d, err := f.metadata(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		writeMistake(w, err)
		return
	}
	writeJSON(w, http.StatusOK, d)
}

func (f *F) metadata(ctx context.Context, model, version string) (described, error) {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return described{}, err
	}
	v, err := f.named(ctx, s, version)
	if err != nil {
		return described{}, err
	}
	defer v.release()
	d := described{
		Name: s.name, Versions: s.versions(), Platform: "onnxruntime_onnx", Inputs: v.inputs, Outputs: v.outputs,
		Properties: map[string]string{"version": v.text, "created": v.created, "task": v.contract.Task},
	}
	if len(v.contract.Classes) > 0 {
		classes, _ := json.Marshal(v.contract.Classes) // strings marshal always
		d.Properties["classes"] = string(classes)
	}
	for _, sh := range s.shares {
		if sh.version.number == v.number {
			d.Properties["route"] = sh.route
		}
	}
	return d, nil
}

// named gives the version of a number, else the champion, held for the caller.
func (f *F) named(ctx context.Context, s *served, text string) (*version, error) {
	if text != "" {
		sh, err := f.pinned(ctx, s, text)
		return sh.version, err
	}
	v := s.champion()
	if v == nil {
		return nil, mistakef(http.StatusServiceUnavailable, "%s", s.reason)
	}
	if !v.acquire() {
		return nil, mistakef(http.StatusServiceUnavailable, "the route of %s has just changed; ask again", s.name)
	}
	return v, nil
}

func (f *F) modelReady(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("model")
	is, why, err := f.readiness(name, r.PathValue("version"))
	switch {
	case err != nil:
		writeMistake(w, err)
	case !is:
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"name": name, "ready": false, "error": why})
	default:
		writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
	}
}

// readiness says whether a model, or a version of it, answers without waiting,
// and why if it does not.
func (f *F) readiness(model, version string) (is bool, why string, err error) {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return false, "", err
	}
	if version == "" {
		return len(s.shares) > 0, s.reason, nil
	}
	number, err := s.number(version)
	if err != nil {
		return false, "", err
	}
	return f.shelf.loaded(shelfKey{s.name, number}), fmt.Sprintf("version %d is loaded when it is asked for", number), nil
}
