package ingest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// maxSwept bounds the changes that one sweep announces: they are one commit.
const maxSwept = 500

// ticked sweeps the pipeline's buckets.
func (f *F) ticked(ctx context.Context, e events.Event[events.ScheduleTicked], p *state.Pipeline) ([]events.Data, error) {
	switch {
	case e.Data.Action != "sweep":
		return function.Nothing("the action %s is not for ingest", e.Data.Action)
	case e.Pipeline == events.NoPipeline:
		return f.everyPipeline(ctx, e.Data)
	case p.Config == nil:
		return function.Nothing("pipeline %s has no configuration yet", p.Name)
	}
	var changes []events.Data
	objects := 0
	swept := bucketsOf(p.Config)
	for _, b := range swept {
		n, found, err := f.sweep(ctx, p, b)
		if err != nil {
			return nil, err
		}
		objects += n
		changes = append(changes, found...)
	}
	if len(swept) == 0 {
		return function.Nothing("no glob of pipeline %s names a bucket", p.Name)
	}
	if len(changes) == 0 {
		return function.Nothing("nothing has changed: all %d objects are known", objects)
	}
	if more := len(changes) - maxSwept; more > 0 {
		f.deps.Logger.InfoContext(ctx, "sweep goes on", slog.String("pipeline", p.Name), slog.Int("announced", maxSwept), slog.Int("remaining", more))
		changes = append(changes[:maxSwept], goOn(e.Data))
	}
	return changes, nil
}

// everyPipeline ticks each pipeline for a tick that belongs to none.
func (f *F) everyPipeline(ctx context.Context, d events.ScheduleTicked) ([]events.Data, error) {
	pipelines, err := f.deps.States.Configured(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pipelines {
		d.Pipeline = p.Name
		if _, err := f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: p.Name, Function: Name, Data: []events.Data{d}}); err != nil {
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

// watched is the part of a bucket that a pipeline's globs can match.
type watched struct {
	bucket   string // its URL
	prefixes []string
}

func (w watched) covers(o *state.Object) bool {
	return o.Bucket == w.bucket && slices.ContainsFunc(w.prefixes, func(p string) bool { return strings.HasPrefix(o.Key, p) })
}

// bucketsOf lists what the globs of a pipeline watch, by bucket.
func bucketsOf(p *config.Pipeline) []watched {
	var all []watched
	for _, glob := range slices.Concat(p.Spec.Data.Uploads, p.Spec.Data.Labels.Uploads) {
		scheme, rest, ok := strings.Cut(glob, "://")
		if !ok {
			continue // in the gateway's own, which announces everything itself
		}
		name, pattern, _ := strings.Cut(rest, "/")
		url := scheme + "://" + name
		i := slices.IndexFunc(all, func(w watched) bool { return w.bucket == url })
		if i < 0 {
			i = len(all)
			all = append(all, watched{bucket: url})
		}
		all[i].prefixes = append(all[i].prefixes, literal(pattern))
	}
	for i := range all {
		all[i].prefixes = outermost(all[i].prefixes)
	}
	return all
}

// literal is what every key that a pattern matches begins with.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// outermost leaves out prefixes that begin with another one.
func outermost(prefixes []string) []string {
	slices.Sort(prefixes)
	return slices.CompactFunc(prefixes, func(outer, inner string) bool { return strings.HasPrefix(inner, outer) })
}

// sweep compares a bucket with what is known of it. It returns the number of
// objects in the bucket that the pipeline wants and what has changed.
func (f *F) sweep(ctx context.Context, p *state.Pipeline, w watched) (objects int, changes []events.Data, err error) {
	bucket, err := f.buckets.get(ctx, w.bucket)
	if err != nil {
		return 0, nil, err
	}
	there := map[string]bool{} // the known objects that are
	name := bucketName(w.bucket)
	for _, prefix := range w.prefixes {
		err := bucket.List(ctx, prefix, func(o events.Object) bool {
			if !p.Config.WantsUpload(name, o.Key) && !p.Config.WantsLabels(name, o.Key) {
				return true
			}
			objects++
			o.Bucket = w.bucket
			known := p.Objects[o.Name()]
			if known != nil {
				there[o.Name()] = true
			}
			if known == nil || known.Status == state.ObjectRemoved || !sameObject(known.Object, o) {
				changes = append(changes, events.ObjectUploaded{Object: o, By: "sweep"})
			}
			return true
		})
		if err != nil {
			return 0, nil, err
		}
	}
	return objects, append(changes, gone(p, w, there)...), nil
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

// gone lists the objects that a bucket had and has no longer.
func gone(p *state.Pipeline, w watched, there map[string]bool) []events.Data {
	var left []*state.Object
	for name, o := range p.Objects {
		if w.covers(o) && o.Status != state.ObjectRemoved && !there[name] {
			left = append(left, o)
		}
	}
	slices.SortFunc(left, func(a, b *state.Object) int { return cmp.Compare(a.Order, b.Order) })
	data := make([]events.Data, len(left))
	for i, o := range left {
		data[i] = events.ObjectRemoved{Object: events.Object{Bucket: o.Bucket, Key: o.Key}, By: "sweep"}
	}
	return data
}
