package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/state"
)

// Upload is what became of an upload, or of a removal, in one pipeline.
type Upload struct {
	Pipeline string `json:"pipeline"`
	// Event is the id of object.uploaded or object.removed.
	Event  string `json:"event"`
	Key    string `json:"key"`
	Digest string `json:"digest,omitempty"`
	Size   int64  `json:"size,omitempty"`
	// Duplicate says that the same bytes had been uploaded before, and that
	// Event is of that time.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Uploads is the answer to an upload.
type Uploads struct {
	Uploads []Upload `json:"uploads"`
}

// reserve is what an upload must leave free on the disk, for the log.
const reserve = 64 << 20

func (f *F) upload(w http.ResponseWriter, r *http.Request) error {
	key := r.PathValue("key")
	if err := checkKey(key); err != nil {
		return err
	}
	if _, err := f.wanting(r.Context(), key); err != nil {
		return err
	}
	content, err := f.store(w, r, key)
	if err != nil {
		return err
	}
	ctx, cancel := f.committing(r.Context())
	defer cancel()
	pipelines, err := f.wanting(ctx, key)
	if err != nil {
		return err
	}
	out := Uploads{Uploads: make([]Upload, 0, len(pipelines))}
	for _, p := range pipelines {
		u, err := f.uploaded(ctx, p, key, content)
		if err != nil {
			return err
		}
		out.Uploads = append(out.Uploads, u)
	}
	failpoint.Hit("answer.before")
	writeJSON(w, http.StatusCreated, out)
	failpoint.Hit("answer.after")
	return nil
}

// store puts the body into the artifact store.
func (f *F) store(w http.ResponseWriter, r *http.Request, key string) (events.Ref, error) {
	if r.ContentLength > f.cfg.MaxUpload {
		return events.Ref{}, f.tooLarge(key)
	}
	if free, err := f.Artifacts.Free(); err == nil && r.ContentLength > free-reserve {
		return events.Ref{}, refuse(http.StatusInsufficientStorage, "%s has %d bytes, and the disk has %d free, of which the event log keeps %d", key, r.ContentLength, free, reserve).
			try("free some space, or point the artifact store to a larger disk")
	}
	content, err := f.Artifacts.Put(r.Context(), http.MaxBytesReader(w, r.Body, f.cfg.MaxUpload), artifact.Suffix(key))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return events.Ref{}, f.tooLarge(key)
	}
	if err != nil {
		return events.Ref{}, err
	}
	f.metrics.bytes.Add(float64(content.Size))
	return content, nil
}

func (f *F) tooLarge(key string) error {
	return refuse(http.StatusRequestEntityTooLarge, "%s is larger than the %d bytes that are taken", key, f.cfg.MaxUpload).
		try("cut it into several files, or raise MILLRACE_MAX_UPLOAD")
}

// uploaded announces the upload, unless the same bytes are there already.
func (f *F) uploaded(ctx context.Context, p *state.Pipeline, key string, content events.Ref) (Upload, error) {
	u := Upload{Pipeline: p.Name, Key: key, Digest: content.Digest, Size: content.Size}
	before := ""
	if o := p.Objects[key]; o != nil {
		if before = o.Event; stands(p, o, content) {
			u.Event, u.Duplicate = o.Event, true
			f.metrics.uploads.WithLabelValues("duplicate").Inc()
			return u, nil
		}
	}
	// What came before is part of the cause: the bytes A, B, A are three
	// uploads, and A sent again because the answer was lost is one.
	e, duplicate, err := f.announce(ctx, p.Name, events.Cause("upload", key, content.Digest, before), events.ObjectUploaded{
		Object: events.Object{Key: key, ETag: etag(content), Size: content.Size}, Content: content, By: "upload",
	})
	if err != nil {
		return Upload{}, err
	}
	outcome := "stored"
	if duplicate {
		outcome = "duplicate"
	}
	f.metrics.uploads.WithLabelValues(outcome).Inc()
	u.Event, u.Duplicate = e.ID, duplicate
	return u, nil
}

// stands tells whether the object has these bytes already, so that uploading
// them again would change nothing: they are on their way, or something became
// of them under the configuration that still rules.
func stands(p *state.Pipeline, o *state.Object, content events.Ref) bool {
	if o.Bucket != "" || o.ETag != etag(content) || o.Status == state.ObjectRemoved {
		return false
	}
	given := func(l *state.DeadLetter) bool { return l.Event == o.Event }
	if slices.ContainsFunc(p.DeadLetters, given) {
		return false
	}
	return o.Status == state.ObjectUploaded || o.Config == "" || o.Config == p.Configured.Digest
}

// etag names the bytes of an upload, as an object store's ETag does.
func etag(content events.Ref) string { return strings.TrimPrefix(content.Digest, "sha256:") }

func (f *F) remove(w http.ResponseWriter, r *http.Request) error {
	key := r.PathValue("key")
	if err := checkKey(key); err != nil {
		return err
	}
	ctx, cancel := f.committing(r.Context())
	defer cancel()
	pipelines, err := f.wanting(ctx, key)
	if err != nil {
		return err
	}
	out := Uploads{}
	for _, p := range pipelines {
		o := p.Objects[key]
		if o == nil {
			continue
		}
		u := Upload{Pipeline: p.Name, Key: key, Event: o.Event, Duplicate: true}
		if o.Status != state.ObjectRemoved {
			e, duplicate, err := f.announce(ctx, p.Name, events.Cause("remove", key, o.Event), events.ObjectRemoved{Object: events.Object{Key: key}, By: "upload"})
			if err != nil {
				return err
			}
			u.Event, u.Duplicate = e.ID, duplicate
		}
		out.Uploads = append(out.Uploads, u)
	}
	if len(out.Uploads) == 0 {
		return refuse(http.StatusNotFound, "there is no upload %q", key)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// wanting are the pipelines that want an upload of the key, at least one.
func (f *F) wanting(ctx context.Context, key string) ([]*state.Pipeline, error) {
	all, err := f.States.Configured(ctx)
	if err != nil {
		return nil, err
	}
	if out := filter(all, "", key); len(out) > 0 {
		return out, nil
	}
	first, _, _ := strings.Cut(key, "/")
	i := slices.IndexFunc(all, func(p *state.Pipeline) bool { return p.Name == first })
	if i < 0 {
		return nil, noPipeline(first, names(all))
	}
	spec := all[i].Config.Spec.Data
	globs := slices.Concat(spec.Uploads, spec.Labels.Uploads)
	if len(globs) == 0 {
		return nil, refuse(http.StatusUnprocessableEntity, "the pipeline %s takes no uploads", first).try("its file has no data.uploads")
	}
	return nil, refuse(http.StatusUnprocessableEntity, "no pipeline wants %q", key).try("%s takes: %s", first, list(globs))
}

// filter gives the pipelines that want the object, as data or as labels.
func filter(all []*state.Pipeline, bucket, key string) []*state.Pipeline {
	var out []*state.Pipeline
	for _, p := range all {
		if p.Config.WantsUpload(bucket, key) || p.Config.WantsLabels(bucket, key) {
			out = append(out, p)
		}
	}
	return out
}

func names(ps []*state.Pipeline) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.Name
	}
	return out
}

const maxKey = 1024

// checkKey says what is wrong with the key of an upload.
func checkKey(key string) error {
	var what string
	switch {
	case key == "":
		what = "is empty: write /uploads/<pipeline>/<name>"
	case len(key) > maxKey:
		what = fmt.Sprintf("has %d bytes; at most %d are taken", len(key), maxKey)
	case !utf8.ValidString(key):
		what = "is not UTF-8"
	case strings.ContainsFunc(key, unicode.IsControl):
		what = "has control characters"
	case strings.Contains(key, `\`):
		what = "has a backslash; folders are divided by /"
	case strings.HasPrefix(key, "/"):
		what = "begins with a slash"
	case strings.HasSuffix(key, "/") || !strings.Contains(key, "/"):
		what = "has no name behind the pipeline: write /uploads/<pipeline>/<name>"
	case path.Clean(key) != key || key == ".." || strings.HasPrefix(key, "../"):
		what = `has an empty, "." or ".." part`
	default:
		return nil
	}
	return refuse(http.StatusBadRequest, "the key %.80q %s", key, what)
}

// append commits data of an origin.
func (f *F) append(ctx context.Context, pipeline, cause string, data ...events.Data) (eventlog.Appended, error) {
	return f.Log.Append(ctx, eventlog.Commit{Pipeline: pipeline, Function: Name, Cause: cause, Data: data})
}
