package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/access"
)

// The model repository extension: which versions there are, and which of them
// are loaded in this process. It moves no traffic; only promote does.

// repository lists the versions of all models that the caller may ask; only
// those that are loaded if ready.
func (f *F) repository(ctx context.Context, ready bool) []codec.ModelIndex {
	all := []codec.ModelIndex{}
	t := f.routing.Load()
	for _, name := range t.names {
		if access.Check(ctx, access.Predict|access.Read, name) != nil {
			continue
		}
		s := t.models[name]
		for _, m := range s.state.Models {
			if !loadable(m) {
				continue
			}
			i := codec.ModelIndex{Name: name, Version: strconv.Itoa(m.Version), State: "READY"}
			if !f.versions.loaded(versionKey{name, m.Version}) {
				i.State, i.Reason = "UNAVAILABLE", "not loaded; it is when it is asked for"
			}
			if i.State == "READY" || !ready {
				all = append(all, i)
			}
		}
	}
	return all
}

// loadInto loads a version into this process. Those of the route are there.
func (f *F) loadInto(ctx context.Context, model, version string) error {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return err
	}
	if version == "" && len(s.shares) == 0 {
		return codec.Errorf(http.StatusServiceUnavailable, "%s", s.reason)
	}
	if version == "" {
		return nil
	}
	v, err := f.pinned(ctx, s, version)
	if err != nil {
		return err
	}
	v.release()
	return nil
}

// unload unloads a version that is in no route; without a version, all of them.
func (f *F) unload(model, version string) error {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return err
	}
	if version == "" {
		if len(s.shares) > 0 {
			return codec.Errorf(http.StatusConflict, "%s serves %s and stays loaded; name a version that is in no route by the parameter version, or move the traffic by a promotion or a rollback", s.name, s.describe())
		}
		for _, m := range s.state.Models {
			f.versions.unload(versionKey{s.name, m.Version})
		}
		return nil
	}
	number, err := s.number(version)
	if err != nil {
		return err
	}
	if !f.versions.unload(versionKey{s.name, number}) {
		return codec.Errorf(http.StatusConflict, "version %d of %s has traffic (%s) and stays loaded; move the traffic by a promotion or a rollback first", number, s.name, s.describe())
	}
	return nil
}

func (f *F) repositoryIndex(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Ready bool `json:"ready"`
	}
	if err := readSmall(w, r, &body); err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, f.repository(r.Context(), body.Ready))
}

func (f *F) repositoryLoad(w http.ResponseWriter, r *http.Request) {
	version, err := repositoryVersion(w, r)
	if err == nil {
		err = f.loadInto(r.Context(), r.PathValue("model"), version)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": r.PathValue("model"), "load": true})
}

func (f *F) repositoryUnload(w http.ResponseWriter, r *http.Request) {
	version, err := repositoryVersion(w, r)
	if err == nil {
		err = f.unload(r.PathValue("model"), version)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": r.PathValue("model"), "unload": true})
}

// repositoryVersion returns the version that a call names, in the body's
// parameters or in the header; "" if it names none.
func repositoryVersion(w http.ResponseWriter, r *http.Request) (string, error) {
	var body struct {
		Parameters struct {
			Version any `json:"version"`
		} `json:"parameters"`
	}
	if err := readSmall(w, r, &body); err != nil {
		return "", err
	}
	switch v := body.Parameters.Version.(type) {
	case nil:
		return first(r.Header[headerVersion]), nil
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", codec.Invalid("the parameter version is neither a number nor a string")
}

const maxSmallBody = 64 << 10

// readSmall reads a body of JSON, if there is one.
func readSmall(w http.ResponseWriter, r *http.Request, into any) error {
	if err := checkCharset(r); err != nil {
		return err
	}
	body, err := decompressed(w, r)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(body, maxSmallBody+1))
	switch {
	case err != nil:
		return codec.Invalid("the body cannot be read: %v", err)
	case len(raw) > maxSmallBody:
		return codec.TooLarge(maxSmallBody)
	}
	if raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte(utf8Mark))); len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return codec.Invalid("the body cannot be read as JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
