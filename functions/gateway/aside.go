package gateway

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"slices"

	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// getSetAside lists the uploads that have rows set aside.
func (f *F) getSetAside(w http.ResponseWriter, r *http.Request) error {
	return f.rows(w, r, func(ps []*state.Pipeline) any { return each(ps, setAsideRows) })
}

func setAsideRows(p *state.Pipeline) []api.SetAsideRow {
	var out []api.SetAsideRow
	for _, o := range p.Objects {
		if o.SetAside != nil && o.Status != state.ObjectRemoved {
			out = append(out, api.SetAsideRow{Pipeline: p.Name, Upload: o.Name(), Rows: o.SetAside.Rows, Bytes: o.SetAside.Data.Size, Time: o.Time})
		}
	}
	slices.SortFunc(out, func(a, b api.SetAsideRow) int { return cmp.Compare(a.Upload, b.Upload) })
	return out
}

// getSetAsideOf writes the rows that were set aside of one upload, as JSON lines.
func (f *F) getSetAsideOf(w http.ResponseWriter, r *http.Request) (err error) {
	at, err := pointOf(r)
	if err != nil {
		return err
	}
	p, err := f.pipelineAt(r.Context(), r.PathValue("pipeline"), at)
	if err != nil {
		return err
	}
	name := r.URL.Query().Get("upload")
	o := p.Objects[name]
	switch {
	case o == nil:
		return httperror.New(http.StatusNotFound, "the pipeline %s has no upload %q", p.Name, name).Try("millrace set-aside %s lists those that have rows set aside", p.Name)
	case o.SetAside == nil:
		return httperror.New(http.StatusNotFound, "no rows of %s were set aside", name).Try("millrace set-aside %s lists the uploads that have some", p.Name)
	}
	rows, err := f.deps.Artifacts.Open(r.Context(), o.SetAside.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := io.Copy(w, rows); err != nil {
		panic(http.ErrAbortHandler) // an incomplete list must not look complete
	}
	return nil
}
