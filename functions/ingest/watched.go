package ingest

import (
	"slices"
	"strings"

	"millrace.dev/config"
	"millrace.dev/events"
)

// wantsUpload tells whether an object is data of the pipeline. What came
// through the gateway's door was addressed to it.
func wantsUpload(p *config.Pipeline, o events.Object) bool {
	return o.Bucket == "" || p.WantsUpload(o.Bucket, o.Key)
}

// watched is the part of a bucket that a pipeline's globs can match.
type watched struct {
	bucket   string // its URL
	prefixes []string
}

func (w watched) covers(o events.Object) bool {
	return o.Bucket == w.bucket && slices.ContainsFunc(w.prefixes, func(p string) bool { return strings.HasPrefix(o.Key, p) })
}

// bucketsOf lists what the globs of a pipeline watch, by bucket.
func bucketsOf(p *config.Pipeline) []watched {
	var all []watched
	for _, glob := range p.UploadGlobs() {
		scheme, rest, ok := strings.Cut(glob, "://")
		if !ok {
			continue // in the gateway's own, which emits everything itself
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
