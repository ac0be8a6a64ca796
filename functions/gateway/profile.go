package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
)

const (
	// maxProfileBytes bounds a stored profile.
	maxProfileBytes = 1 << 30
	// bins is how many bars a histogram has at most.
	bins = 20
	// binary is the media type of a whole profile, as package table stores it.
	binary = "application/octet-stream"
)

// getProfile writes the profile of the dataset, or of one partition, with that
// of the snapshot before. A client that accepts application/octet-stream gets
// the stored profile itself.
func (f *F) getProfile(w http.ResponseWriter, r *http.Request) error {
	at, err := pointOf(r)
	if err != nil {
		return err
	}
	p, err := f.pipelineAt(r.Context(), r.PathValue("pipeline"), at)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	now, before, err := profilesOf(p, q.Get("partition"))
	if err != nil {
		return err
	}
	if r.Header.Get("Accept") == binary {
		b, err := f.deps.Artifacts.Bytes(r.Context(), now.ref, maxProfileBytes)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", binary)
		w.Header().Set("Millrace-Partitions", fmt.Sprint(now.Partitions))
		_, _ = w.Write(b) // a client that has gone away needs no answer
		return nil
	}
	columns := q["column"]
	profile, err := f.readProfile(r.Context(), now.ref)
	if err != nil {
		return err
	}
	for _, name := range columns {
		if profile.Column(name) == nil {
			return noColumn(name, profile)
		}
	}
	edges := map[string][]float64{}
	for i := range profile.Columns {
		edges[profile.Columns[i].Name] = profile.Columns[i].Edges(bins)
	}
	now.Columns = profileColumns(profile, edges, columns)
	if before != nil {
		profile, err := f.readProfile(r.Context(), before.ref)
		if err != nil {
			return err
		}
		before.Columns = profileColumns(profile, edges, columns)
		now.Before = &before.Profile
	}
	writeJSON(w, http.StatusOK, now.Profile)
	return nil
}

// stored is a profile whose columns are in the artifact store.
type stored struct {
	api.Profile
	ref events.Ref
}

// profilesOf returns the profile of the dataset, or of the partition that is
// named, and of the snapshot before; nil if there is no such snapshot.
func profilesOf(p *state.Pipeline, partition string) (now stored, before *stored, err error) {
	ds := &p.Dataset
	if len(ds.Snapshots) == 0 {
		return now, nil, httperror.New(http.StatusNotFound, "the pipeline %s has no data yet", p.Name).Try("upload some first: %s", list(p.Config.Spec.Data.Uploads))
	}
	last := ds.Snapshots[len(ds.Snapshots)-1]
	now = snapshotProfile(p, last)
	until := last.Time
	if partition != "" {
		m, err := partitionOf(p, partition)
		if err != nil {
			return now, nil, err
		}
		now = stored{api.Profile{Pipeline: p.Name, Partition: m.Object.Name(), Rows: m.Rows, Created: m.Time}, m.Profile}
		until = m.Time
	}
	for _, s := range ds.Snapshots {
		if s.Time.Before(until) && s.Rows > 0 {
			b := snapshotProfile(p, s)
			before = &b
		}
	}
	return now, before, nil
}

func snapshotProfile(p *state.Pipeline, s *state.Snapshot) stored {
	return stored{api.Profile{Pipeline: p.Name, Snapshot: s.Digest, Partitions: s.Partitions, Rows: s.Rows, Created: s.Time}, s.Profile}
}

// partitionOf finds the partition whose object has the name, or whose digest
// begins with it.
func partitionOf(p *state.Pipeline, name string) (*state.Partition, error) {
	var names []string
	var found []*state.Partition
	for _, m := range p.Dataset.Partitions {
		if m.Object.Name() == name {
			return m, nil
		}
		if len(name) >= events.MinPrefix && strings.HasPrefix(strings.TrimPrefix(m.Data.Digest, "sha256:"), strings.TrimPrefix(name, "sha256:")) {
			found = append(found, m)
		}
		names = append(names, m.Object.Name())
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, ambiguous(name, []string{found[0].Object.Name(), found[1].Object.Name()})
	}
	e := httperror.New(http.StatusNotFound, "the dataset of %s has no partition %q", p.Name, name)
	if near := config.Nearest(name, names); near != "" {
		return nil, e.Try("did you mean %q?", near)
	}
	return nil, e.Try("it has: %s", list(names))
}

func noColumn(name string, p *table.Profile) error {
	var names []string
	for i := range p.Columns {
		names = append(names, p.Columns[i].Name)
	}
	e := httperror.New(http.StatusNotFound, "there is no column %q", name)
	if near := config.Nearest(name, names); near != "" {
		return e.Try("did you mean %q?", near)
	}
	return e.Try("the columns are: %s", list(names))
}

func (f *F) readProfile(ctx context.Context, ref events.Ref) (*table.Profile, error) {
	b, err := f.deps.Artifacts.Bytes(ctx, ref, maxProfileBytes)
	if err != nil {
		return nil, fmt.Errorf("read the profile %s: %w", ref.Short(), err)
	}
	p := new(table.Profile)
	if err := p.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("profile %s: %w", ref.Short(), err)
	}
	return p, nil
}

// profileColumns returns the columns called names, or all.
func profileColumns(p *table.Profile, edges map[string][]float64, names []string) []api.ProfileColumn {
	out := []api.ProfileColumn{}
	for i := range p.Columns {
		c := &p.Columns[i]
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			continue
		}
		col := api.ProfileColumn{
			Name: c.Name, Type: string(c.Type), Count: c.Count, Nulls: c.Nulls, NonFinite: c.NonFinite, Distinct: c.Distinct, Exact: c.Exact,
			Min: c.Min, Max: c.Max, Mean: c.Mean, Std: c.Std,
		}
		for i, v := range c.Quantiles {
			col.Quantiles = append(col.Quantiles, api.Quantile{Share: table.Probs[i], Value: pointOn(c.Type, v)})
		}
		for _, t := range c.Top {
			col.Top = append(col.Top, api.ValueCount(t))
		}
		at := edges[c.Name]
		for i, n := range c.Histogram(at) {
			col.Histogram = append(col.Histogram, api.Bin{From: pointOn(c.Type, at[i]), To: pointOn(c.Type, at[i+1]), Count: n})
		}
		out = append(out, col)
	}
	return out
}

// pointOn returns a number on the axis of a column as JSON shows it.
func pointOn(t table.Type, v float64) any {
	if t == table.Timestamp {
		return time.UnixMicro(int64(v)).UTC()
	}
	return v
}
