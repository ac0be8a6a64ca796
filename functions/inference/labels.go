package inference

import (
	"net/http"

	"millrace.dev/functions/inference/codec"
)

// feedback keeps the labels of a request; see the package feedback.
func (f *F) feedback(w http.ResponseWriter, r *http.Request) {
	n, err := f.takeLabels(w, r)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]int{"labels": n})
}

func (f *F) takeLabels(w http.ResponseWriter, r *http.Request) (int, error) {
	s, err := f.routing.Load().model(r.PathValue("model"))
	if err != nil {
		return 0, err
	}
	if s.state.Config == nil {
		return 0, codec.Errorf(http.StatusConflict, "%s has no configuration yet", s.name)
	}
	q := f.take()
	defer f.put(q)
	if err := readBody(w, r, q, f.cfg.MaxBodyBytes, f.cfg.ReadTimeout); err != nil {
		return 0, err
	}
	return f.labels.Take(s.state.Config, q.Body, f.cfg.MaxRows)
}
