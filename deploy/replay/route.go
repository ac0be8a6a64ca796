package replay

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function"
	"millrace.dev/shared/httperror"
)

// Name of the program and of its Service.
const Name = "replay"

// Config is the program's configuration: it has no settings of its own.
type Config struct{}

// Validate returns nil.
func (Config) Validate() error { return nil }

// F answers requests for replays. It is safe for concurrent use.
type F struct {
	deps function.Deps
}

// New returns the program's function.
func New(_ Config, deps function.Deps) (*F, error) {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &F{deps: deps}, nil
}

// Register registers nothing: a replay subscribes to no events.
func (f *F) Register(*function.Mux) {}

// Routes registers POST /api/pipelines/{pipeline}/replay, which answers an
// api.ReplayRequest with an api.ReplayReport. It changes nothing, so that it
// needs the role read.
func (f *F) Routes(mux *access.Mux) {
	mux.HandleFunc(access.Read, "POST /api/pipelines/{pipeline}/replay", func(w http.ResponseWriter, r *http.Request) {
		report, err := f.answer(w, r)
		if err == nil {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(report) // a client that has gone away needs no answer
			return
		}
		refused, ok := errors.AsType[*httperror.Error](err)
		if !ok {
			refused = httperror.New(http.StatusInternalServerError, "%v", err)
			f.deps.Logger.ErrorContext(r.Context(), "a replay failed", "pipeline", r.PathValue("pipeline"), "error", err)
		}
		refused.WriteJSON(w)
	})
}

// maxRequest bounds a request, which is mostly a pipeline file.
const maxRequest = 2 << 20

func (f *F) answer(w http.ResponseWriter, r *http.Request) (*api.ReplayReport, error) {
	var request api.ReplayRequest
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	in.DisallowUnknownFields()
	if err := in.Decode(&request); err != nil {
		return nil, httperror.New(http.StatusBadRequest, "the request cannot be decoded: %v", err)
	}
	known, err := f.deps.Log.Pipelines(r.Context())
	if err != nil {
		return nil, err
	}
	name := r.PathValue("pipeline")
	if !slices.Contains(known, name) {
		return nil, httperror.New(http.StatusNotFound, "there is no pipeline %q", name).Try("there are: %s", list(known))
	}
	return Run(r.Context(), f.deps, name, request)
}
