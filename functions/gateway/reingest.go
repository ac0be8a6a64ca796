package gateway

import (
	"net/http"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

const (
	// maxOutdated is how many partitions a status names.
	maxOutdated = 20
	// maxPlanned is how many uploads the plan of a reingest names.
	maxPlanned = 100
)

func reingestRow(p *state.Pipeline) *api.ReingestRow {
	r := p.Reingest
	if r == nil {
		return nil
	}
	return &api.ReingestRow{
		Files: r.Files, Bytes: r.Bytes, Done: r.Done, Rejected: r.Rejected, Left: r.Left, Note: r.Note, Started: r.Started, Changed: r.Changed,
	}
}

// getReingest says what a reingest would read.
func (f *F) getReingest(w http.ResponseWriter, r *http.Request) error {
	p, err := f.pipeline(r.Context(), r.PathValue("pipeline"))
	if err != nil {
		return err
	}
	since, err := sinceOf(r.URL.Query().Get("since"))
	if err != nil {
		return err
	}
	plan := api.ReingestPlan{Pipeline: p.Name}
	for _, o := range p.OutdatedUploads(since) {
		plan.Files++
		plan.Bytes += o.Size
		if plan.Files <= maxPlanned {
			plan.Uploads = append(plan.Uploads, o.Name())
		}
	}
	if p.Reingesting() {
		plan.Reingest = reingestRow(p)
	}
	writeJSON(w, http.StatusOK, plan)
	return nil
}

func sinceOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, httperror.New(http.StatusBadRequest, "since=%.60s is not an RFC 3339 timestamp", text).Try("write 2026-01-31T12:00:00Z")
	}
	return t, nil
}

// reingest refuses a request that would lead to nothing.
func (f *F) reingest(p *state.Pipeline, d events.ReingestRequested) (events.ReingestRequested, error) {
	if err := d.Validate(); err != nil {
		return d, httperror.New(http.StatusBadRequest, "%v", err)
	}
	since, err := sinceOf(d.Since)
	switch {
	case err != nil:
		return d, err
	case d.Stop && !p.Reingesting():
		return d, httperror.New(http.StatusConflict, "no reingest of %s is under way", p.Name)
	case d.Stop:
		return d, nil
	case p.Reingesting():
		return d, httperror.New(http.StatusConflict, "a reingest of %s is under way: %d of %d uploads are left", p.Name, p.Reingest.Left, p.Reingest.Files).
			Try("wait for its end: millrace status %s; or end it: millrace reingest %[1]s --stop", p.Name)
	case len(p.OutdatedUploads(since)) == 0:
		return d, httperror.New(http.StatusConflict, "no kept upload of %s was read under an earlier contract", p.Name)
	}
	return d, nil
}
