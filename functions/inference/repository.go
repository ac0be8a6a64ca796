package inference

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The model repository extension: which versions there are, and which of them
// are loaded in this process. It moves no traffic; that is promotion's.

// indexed is one version that can be asked.
type indexed struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// State is READY for a version that is loaded, else UNAVAILABLE: it is
	// loaded when it is asked for.
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// repository lists the versions of all models; only those that are loaded if
// ready.
func (f *F) repository(ready bool) []indexed {
	all := []indexed{}
	t := f.routing.Load()
	for _, name := range t.names {
		s := t.models[name]
		for _, m := range s.state.Models {
			if !loadable(m) {
				continue
			}
			i := indexed{Name: name, Version: strconv.Itoa(m.Version), State: "READY"}
			if !f.shelf.loaded(shelfKey{name, m.Version}) {
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
		return mistakef(http.StatusServiceUnavailable, "%s", s.reason)
	}
	if version == "" {
		return nil
	}
	sh, err := f.pinned(ctx, s, version)
	if err != nil {
		return err
	}
	sh.version.release()
	return nil
}

// unload unloads a version of which no traffic is lost. Without a version it
// means all that are in no route.
func (f *F) unload(model, version string) error {
	s, err := f.routing.Load().model(model)
	if err != nil {
		return err
	}
	if version == "" {
		if len(s.shares) > 0 {
			return mistakef(http.StatusConflict, "%s serves %s and stays loaded; name a version that is in no route by the parameter version, or move the traffic by a promotion or a rollback", s.name, s.describe())
		}
		for _, m := range s.state.Models {
			f.shelf.drop(shelfKey{s.name, m.Version})
		}
		return nil
	}
	number, err := s.number(version)
	if err != nil {
		return err
	}
	if !f.shelf.drop(shelfKey{s.name, number}) {
		return mistakef(http.StatusConflict, "version %d of %s has traffic (%s) and stays loaded; move the traffic by a promotion or a rollback first", number, s.name, s.describe())
	}
	return nil
}

func (f *F) repositoryIndex(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Ready bool `json:"ready"`
	}
	if err := readSmall(w, r, &body); err != nil {
		writeMistake(w, err)
		return
	}
	writeJSON(w, http.StatusOK, f.repository(body.Ready))
}

func (f *F) repositoryLoad(w http.ResponseWriter, r *http.Request) {
	version, err := repositoryVersion(w, r)
	if err == nil {
		err = f.loadInto(r.Context(), r.PathValue("model"), version)
	}
	if err != nil {
		writeMistake(w, err)
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
		writeMistake(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": r.PathValue("model"), "unload": true})
}

// repositoryVersion is the version that a call means, in the body's parameters
// or in the header; "" for none.
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
	return "", invalid("the parameter version is neither a number nor a string")
}

const maxSmallBody = 64 << 10

// readSmall reads a body of JSON, if there is one.
func readSmall(w http.ResponseWriter, r *http.Request, into any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSmallBody)).Decode(into)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return invalid("the body cannot be read as JSON: %s", strings.TrimPrefix(fmt.Sprint(err), "json: "))
}
