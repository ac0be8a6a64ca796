package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"millrace.dev/functions/gateway/archive"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/httperror"
)

// getExport writes a pipeline's history, with artifacts if requested.
func (f *F) getExport(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("pipeline")
	if _, err := f.pipeline(r.Context(), name); err != nil {
		return err
	}
	with := false
	if v := r.URL.Query().Get("artifacts"); v != "" {
		var err error
		if with, err = strconv.ParseBool(v); err != nil {
			return httperror.New(http.StatusBadRequest, "artifacts=%.60s is not true or false", v)
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &lineWriter{w: w, control: http.NewResponseController(w)}
	err := archive.Export(r.Context(), f.deps.Log, f.deps.Artifacts, name, with, out)
	if err != nil && out.begun {
		f.deps.Logger.ErrorContext(r.Context(), "an export broke off", "pipeline", name, "error", err)
		out.flush()                 // the line with the reason
		panic(http.ErrAbortHandler) // an incomplete export must not look complete
	}
	return err
}

// lineWriter writes an answer line by line, each within writeWithin.
type lineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	// begun means that the client has received a status, so that an error can
	// only be reported by aborting the response.
	begun bool
}

// Write writes the lines to the client.
func (l *lineWriter) Write(b []byte) (int, error) {
	l.begun = true
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWithin)) // a server that cannot set deadlines has its own
	return l.w.Write(b)
}

func (l *lineWriter) flush() {
	l.begun = true
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWithin))
	_ = l.control.Flush()
}

// postImport takes over a pipeline's history from an export.
func (f *F) postImport(w http.ResponseWriter, r *http.Request) error {
	done, err := archive.Import(r.Context(), f.deps.Log, f.deps.Artifacts, newFittingBody(r, f.deps.Artifacts))
	switch {
	case errors.Is(err, errDiskFull):
		return noSpace("the history")
	case errors.Is(err, eventlog.ErrOtherHistory):
		return httperror.New(http.StatusConflict, "%s cannot be imported here: %v", done.Pipeline, err).
			Try("import it into a system without events of %s: millrace up --dir with an empty folder, without --pipelines", done.Pipeline)
	case errors.Is(err, eventlog.ErrLives):
		return httperror.New(http.StatusConflict, "%s cannot be imported here: %v", done.Pipeline, err).
			Try("import it into a system that does not have %s; its own functions alone continue the history of a pipeline that lives here", done.Pipeline)
	case errors.Is(err, eventlog.ErrMoved):
		return httperror.New(http.StatusConflict, "%v", err)
	case errors.Is(err, eventlog.ErrDenied):
		return httperror.New(http.StatusForbidden, "%s cannot be imported here: %v", done.Pipeline, err).
			Try("let the gateway be the user import for that time: deploy/knative/README.md, Imports")
	case errors.Is(err, eventlog.ErrBadHistory):
		return httperror.New(http.StatusBadRequest, "%v", err)
	case err != nil:
		return err
	}
	writeJSON(w, http.StatusOK, done)
	return nil
}
