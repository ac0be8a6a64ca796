package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"millrace.dev/shared/function"
)

// maxRequest bounds a request: a pipeline file and a few words.
const maxRequest = 2 << 20

// Routes registers POST /api/pipelines/{pipeline}/replay, which answers a
// Request with a Report.
func Routes(mux *http.ServeMux, d function.Deps) {
	mux.HandleFunc("POST /api/pipelines/{pipeline}/replay", func(w http.ResponseWriter, r *http.Request) {
		report, err := answer(w, r, d)
		if err == nil {
			write(w, http.StatusOK, report)
			return
		}
		status := http.StatusInternalServerError
		var refused *Refused
		if errors.As(err, &refused) {
			status = http.StatusBadRequest
		} else {
			refused = &Refused{Text: err.Error()}
			d.Logger.ErrorContext(r.Context(), "a replay failed", "error", err)
		}
		write(w, status, struct {
			Error string `json:"error"`
			Hint  string `json:"hint,omitempty"`
		}{refused.Text, refused.Hint})
	})
}

func answer(w http.ResponseWriter, r *http.Request, d function.Deps) (*Report, error) {
	var request Request
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	in.DisallowUnknownFields()
	if err := in.Decode(&request); err != nil {
		return nil, &Refused{Text: fmt.Sprintf("the request is not understood: %v", err)}
	}
	name := r.PathValue("pipeline")
	known, err := d.Log.Pipelines(r.Context())
	if err != nil {
		return nil, err
	}
	if !slices.Contains(known, name) {
		return nil, &Refused{fmt.Sprintf("there is no pipeline %q", name), "there are: " + list(known)}
	}
	return Run(r.Context(), d, name, request)
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who has gone away needs no answer
}
