package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/function"
	"millrace.dev/shared/humanize"
	"millrace.dev/shared/state"
)

// configured says which uploads were read under another contract than the new
// one. Reading them again is for a person to ask for, who sees what it costs.
func (f *F) configured(_ context.Context, _ events.Event[events.PipelineConfigured], p *state.Pipeline) ([]events.Data, error) {
	old := p.OutdatedUploads(time.Time{})
	if len(old) == 0 {
		return function.Nothing("every upload was read under this contract")
	}
	return function.Nothing("%s (%s) read under an earlier contract; to read again: millrace reingest %s",
		humanize.Count(len(old), "upload"), humanize.Bytes(bytesOf(old)), p.Name)
}

func bytesOf(uploads []*state.Object) (n int64) {
	for _, o := range uploads {
		n += o.Size
	}
	return n
}

// reingestRequested begins to read kept uploads again, or ends that.
func (f *F) reingestRequested(_ context.Context, e events.Event[events.ReingestRequested], p *state.Pipeline) ([]events.Data, error) {
	if p.Config == nil {
		return nil, function.Reject(fmt.Errorf("pipeline %s has no configuration yet; load its file, then send the event again", p.Name))
	}
	if e.Data.Stop {
		return stopReingest(e, p)
	}
	if p.Reingesting() {
		return function.Nothing("reingest %s is under way, with %s left", p.Reingest.Reingest, humanize.Count(p.Reingest.Left, "upload"))
	}
	d := events.ReingestProgressed{Reingest: e.ID, By: e.Data.By, Since: e.Data.Since}
	old := p.OutdatedUploads(since(d))
	if len(old) == 0 {
		return function.Nothing("no kept upload was read under an earlier contract")
	}
	d.Files, d.Bytes, d.Left = len(old), bytesOf(old), len(old)
	return []events.Data{d}, nil
}

func stopReingest(e events.Event[events.ReingestRequested], p *state.Pipeline) ([]events.Data, error) {
	if !p.Reingesting() {
		return function.Nothing("no reingest is under way")
	}
	d := p.Reingest.ReingestProgressed
	d.Note = fmt.Sprintf("stopped with %s left", humanize.Count(d.Left, "upload"))
	if e.Data.By != "" {
		d.Note += " by " + e.Data.By
	}
	d.Left, d.Last = 0, ""
	return []events.Data{d}, nil
}

// since is the time of the oldest upload to read again, zero for all.
func since(d events.ReingestProgressed) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, d.Since) // the event was validated
	return t
}

const (
	// yield is how long the next step of a reingest waits for new uploads.
	yield = 2 * time.Second
	// fresh is how long an upload counts as new that no process reads yet.
	fresh = 30 * time.Second
)

// reingestProgressed reads one more kept upload, which is one step: what came of
// it and the next progress are one commit. A step that is handled again after a
// kill reads the same upload.
func (f *F) reingestProgressed(ctx context.Context, e events.Event[events.ReingestProgressed], p *state.Pipeline) ([]events.Data, error) {
	switch {
	case e.Data.Left == 0:
		return function.Nothing("the reingest has ended: %d of %s read", e.Data.Done, humanize.Count(e.Data.Files, "upload"))
	case p.Reingest == nil || p.Reingest.Progress != e.ID:
		return function.Nothing("superseded by a later step, or the reingest was stopped")
	case p.Config == nil:
		return function.Nothing("the pipeline has no configuration")
	}
	d := e.Data
	left := slices.DeleteFunc(p.OutdatedUploads(since(d)), func(o *state.Object) bool { return o.Order <= d.Order })
	if len(left) == 0 {
		d.Left, d.Last, d.Note = 0, "", "what was left has been uploaded anew or removed"
		return []events.Data{d}, nil
	}
	if why := f.newFirst(p); why != "" {
		return nil, function.Later(yield, errors.New(why))
	}
	select {
	case f.lane <- struct{}{}:
		defer func() { <-f.lane }()
	default:
		return nil, function.Later(yield, errors.New("another kept upload is being read"))
	}
	o := left[0]
	d.Done, d.Left, d.Last, d.Order, d.Note = d.Done+1, len(left)-1, o.Name(), o.Order, ""
	announced, note, err := f.reread(ctx, p, o)
	if err != nil {
		return nil, err
	}
	d.Note = note
	if len(announced) == 0 || announced[0].EventType() != (events.PartitionIngested{}).EventType() {
		d.Rejected++
	}
	return append(announced, d), nil
}

// newFirst says which new upload a reingest waits for, "" for none.
func (f *F) newFirst(p *state.Pipeline) string {
	if n := len(f.slots); n > 0 {
		return fmt.Sprintf("%s being read", humanize.Count(n, "new upload"))
	}
	for _, o := range p.Objects {
		given := func(l *state.DeadLetter) bool { return l.Event == o.Event }
		if o.Status == state.ObjectUploaded && time.Since(o.Time) < fresh && !slices.ContainsFunc(p.DeadLetters, given) {
			return "the new upload " + o.Name() + " is read first"
		}
	}
	return ""
}

// reread reads the bytes of an upload that are kept, under the contract of now.
func (f *F) reread(ctx context.Context, p *state.Pipeline, o *state.Object) (announced []events.Data, note string, err error) {
	dir, err := f.deps.Artifacts.TempDir("ingest-*")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir)
	up, err := f.fetch(ctx, events.ObjectUploaded{Object: o.Object, Content: o.Kept}, dir)
	switch {
	case errors.Is(err, errGone), errors.Is(err, artifact.ErrNotFound):
		return nil, "its bytes are no longer there", nil
	case err == nil:
		announced, err = f.partition(ctx, p, o.Object, up, dir)
	}
	if err != nil {
		announced, err = reject(p, o, up, err)
	}
	for i, d := range announced {
		switch d := d.(type) {
		case events.PartitionIngested:
			d.Upload = o.Event
			announced[i] = d
		case events.PartitionRejected:
			d.Upload = o.Event
			announced[i], note = d, "rejected: "+d.Problems[0].String()
		}
	}
	return announced, note, err
}
