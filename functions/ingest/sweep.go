package ingest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// maxSwept bounds the changes that one sweep emits: they are one commit.
const maxSwept = 500

// ticked sweeps the pipeline's buckets.
func (f *F) ticked(ctx context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	switch {
	case e.Data.Action != "sweep":
		return function.Nothing("the action %s is not for ingest", e.Data.Action)
	case e.Pipeline == events.NoPipeline:
		return f.everyPipeline(ctx, e)
	case p.Config == nil:
		return function.Nothing("pipeline %s has no configuration yet", p.Name)
	}
	swept := bucketsOf(p.Config)
	if len(swept) == 0 {
		return function.Nothing("no glob of pipeline %s names a bucket", p.Name)
	}
	var found changes
	for _, b := range swept {
		if err := f.sweep(ctx, p, b, &found); err != nil {
			return nil, err
		}
	}
	if len(found.data) == 0 {
		return function.Nothing("nothing has changed: all %d objects are known", found.objects)
	}
	if found.left > 0 {
		f.deps.Logger.InfoContext(ctx, "sweep continues", slog.String("pipeline", p.Name), slog.Int("announced", len(found.data)), slog.Int("left", found.left))
		found.data = append(found.data, goOn(e.Data))
	}
	return found.data, nil
}

// changes is what a sweep found.
type changes struct {
	objects int // in the buckets, that the pipeline wants
	data    []events.Data
	left    int // changes that are not in data
}

func (c *changes) add(d events.Data) {
	if len(c.data) < maxSwept {
		c.data = append(c.data, d)
	} else {
		c.left++
	}
}

// everyPipeline ticks each pipeline for a tick that belongs to none.
func (f *F) everyPipeline(ctx context.Context, e events.Event[events.ScheduleTicked]) ([]events.Data, error) {
	pipelines, err := f.deps.States.Configured(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pipelines {
		tick := e.Data
		tick.Pipeline = p.Name
		if _, err := f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: p.Name, Function: Name, Parent: e.Header, Data: []events.Data{tick}}); err != nil {
			return nil, fmt.Errorf("tick pipeline %s: %w", p.Name, err)
		}
	}
	return function.Nothing("%d pipelines sweep on their own", len(pipelines))
}

// goOn is the tick for what a sweep had to leave. It is due a nanosecond after
// the one before, so that it is another tick and always the same one.
func goOn(d events.ScheduleTicked) events.ScheduleTicked {
	if due, err := time.Parse(time.RFC3339Nano, d.Due); err == nil {
		d.Due = due.Add(time.Nanosecond).UTC().Format(time.RFC3339Nano)
	} else {
		d.Due += "+"
	}
	return d
}

// sweep compares a bucket with what is known of it.
func (f *F) sweep(ctx context.Context, p *state.Pipeline, w watched, found *changes) error {
	bucket, err := f.buckets.get(ctx, w.bucket)
	if err != nil {
		return err
	}
	there := map[string]bool{} // the known objects that are
	for _, prefix := range w.prefixes {
		err := bucket.List(ctx, prefix, func(o events.Object) bool {
			if !p.Config.WantsUpload(w.bucket, o.Key) && !p.Config.WantsLabels(w.bucket, o.Key) {
				return true
			}
			o.Bucket = w.bucket
			found.objects++
			known := p.Objects[o.Name()]
			if known != nil {
				there[o.Name()] = true
			}
			if known == nil || known.Status == state.ObjectRemoved || !sameObject(known.Object, o) {
				found.add(events.ObjectUploaded{Object: o, By: "sweep"})
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, o := range gone(p, w, there) {
		// By its sequencer the removal is older than an upload that has come meanwhile.
		found.add(events.ObjectRemoved{Object: events.Object{Bucket: o.Bucket, Key: o.Key, Sequencer: o.Sequencer}, By: "sweep"})
	}
	return nil
}

// sameObject compares what a listing says with what was said before. Where one
// has no ETag, the size has to do.
func sameObject(known, listed events.Object) bool {
	a, b := etag(known), etag(listed)
	if a == "" || b == "" {
		return known.Size == listed.Size
	}
	return a == b && (known.Size == 0 || known.Size == listed.Size)
}

func etag(o events.Object) string { return strings.ToLower(strings.Trim(o.ETag, `"`)) }

// gone lists the objects that a bucket had and has no longer, in the order in
// which they came.
func gone(p *state.Pipeline, w watched, there map[string]bool) []*state.Object {
	var left []*state.Object
	for name, o := range p.Objects {
		if w.covers(o.Object) && o.Status != state.ObjectRemoved && !there[name] {
			left = append(left, o)
		}
	}
	slices.SortFunc(left, func(a, b *state.Object) int { return cmp.Compare(a.Order, b.Order) })
	return left
}
