package gateway

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// getRunLog writes what a trainer printed.
func (f *F) getRunLog(w http.ResponseWriter, r *http.Request) (err error) {
	ps, err := f.asked(r)
	if err != nil {
		return err
	}
	id := r.PathValue("run")
	var run *state.Run
	for _, p := range ps {
		if found := p.Run(id); found != nil {
			run = found
		}
	}
	if run == nil {
		return httperror.New(http.StatusNotFound, "there is no run %q", id)
	}
	w.Header().Set("Content-Type", mime.FormatMediaType("text/plain", map[string]string{"charset": "utf-8"}))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if run.Log.IsZero() {
		if run.Status == state.RunStarted {
			return httperror.New(http.StatusNotFound, "the run %s has not ended; its log is kept when it does", id)
		}
		_, err = io.WriteString(w, run.LogTail)
		return err
	}
	log, err := f.deps.Artifacts.Open(r.Context(), run.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if _, err := io.Copy(w, log); err != nil {
		panic(http.ErrAbortHandler) // an incomplete log must not look complete
	}
	return nil
}
