package gateway

import (
	"cmp"
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
	"millrace.dev/functions/gateway/api"
	"millrace.dev/functions/gateway/notification"
	"millrace.dev/shared/access"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/httperror"
	"millrace.dev/shared/state"
)

// reserve is what an upload must leave free on the disk, for the log.
const reserve = 64 << 20

func (f *F) upload(w http.ResponseWriter, r *http.Request) error {
	key := r.PathValue("key")
	if err := checkKey(key); err != nil {
		return err
	}
	if _, err := f.wanting(r.Context(), key); err != nil { // before the bytes are read
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
	out := api.Uploads{Uploads: make([]api.Upload, 0, len(pipelines))}
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
	if free, err := f.deps.Artifacts.Free(); err == nil && r.ContentLength > free-reserve {
		return events.Ref{}, httperror.New(http.StatusInsufficientStorage, "%s has %d bytes, and the disk has %d free, including %d reserved for the event log", key, r.ContentLength, free, reserve).
			Try("free some space, or point the artifact store to a larger disk")
	}
	content, err := f.deps.Artifacts.Put(r.Context(), http.MaxBytesReader(w, newFittingBody(r, f.deps.Artifacts), f.cfg.MaxUpload), artifact.Suffix(key))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return events.Ref{}, f.tooLarge(key)
	}
	if errors.Is(err, errDiskFull) {
		return events.Ref{}, noSpace(key)
	}
	if err != nil {
		return events.Ref{}, err
	}
	f.metrics.bytes.Add(float64(content.Size))
	return content, nil
}

func (f *F) tooLarge(key string) error {
	return httperror.New(http.StatusRequestEntityTooLarge, "%s is larger than the limit of %d bytes", key, f.cfg.MaxUpload).
		Try("cut it into several files, or raise MILLRACE_MAX_UPLOAD")
}

// uploaded emits the upload, unless the same bytes are there already.
func (f *F) uploaded(ctx context.Context, p *state.Pipeline, key string, content events.Ref) (api.Upload, error) {
	u := api.Upload{Pipeline: p.Name, Key: key, Digest: content.Digest, Size: content.Size}
	before := ""
	if o := p.Objects[key]; o != nil {
		if before = o.Event; stands(p, o, content) {
			u.Event, u.Duplicate = o.Event, true
			f.metrics.uploads.WithLabelValues("duplicate").Inc()
			return u, nil
		}
	}
	// The previous content is part of the cause: the bytes A, B, A are three
	// uploads, and A sent again because the answer was lost is one.
	e, duplicate, err := f.emit(ctx, p.Name, events.Cause("upload", key, content.Digest, before), events.ObjectUploaded{
		Object: events.Object{Key: key, ETag: etag(content), Size: content.Size}, Content: content, By: "upload",
	})
	if err != nil {
		return api.Upload{}, err
	}
	outcome := "stored"
	if duplicate {
		outcome = "duplicate"
	}
	f.metrics.uploads.WithLabelValues(outcome).Inc()
	u.Event, u.Duplicate = e.ID, duplicate
	return u, nil
}

// stands reports whether the object has these bytes already, so that uploading
// them again would change nothing: they are being processed, or were processed
// under the current configuration.
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

// etag returns an ETag for the bytes of an upload.
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
	out := api.Uploads{}
	for _, p := range pipelines {
		o := p.Objects[key]
		if o == nil {
			continue
		}
		u := api.Upload{Pipeline: p.Name, Key: key, Event: o.Event, Duplicate: true}
		if o.Status != state.ObjectRemoved {
			e, duplicate, err := f.emit(ctx, p.Name, events.Cause("remove", key, o.Event), events.ObjectRemoved{Object: events.Object{Key: key}, By: "upload"})
			if err != nil {
				return err
			}
			u.Event, u.Duplicate = e.ID, duplicate
		}
		out.Uploads = append(out.Uploads, u)
	}
	if len(out.Uploads) == 0 {
		return httperror.New(http.StatusNotFound, "there is no upload %q", key)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// wanting returns the pipelines that want an upload of the key, at least one.
// The caller must have the role upload for each of them.
func (f *F) wanting(ctx context.Context, key string) ([]*state.Pipeline, error) {
	all, err := f.deps.States.Configured(ctx)
	if err != nil {
		return nil, err
	}
	if out := filter(all, "", key); len(out) > 0 {
		var refused []error
		for _, p := range out {
			refused = append(refused, may(ctx, access.Upload, p.Name))
		}
		return out, cmp.Or(refused...)
	}
	first, _, _ := strings.Cut(key, "/")
	i := slices.IndexFunc(all, func(p *state.Pipeline) bool { return p.Name == first })
	if i < 0 {
		return nil, noPipeline(first, names(all))
	}
	globs := all[i].Config.UploadGlobs()
	if len(globs) == 0 {
		return nil, httperror.New(http.StatusUnprocessableEntity, "the pipeline %s takes no uploads", first).Try("its file has no data.uploads")
	}
	return nil, httperror.New(http.StatusUnprocessableEntity, "no pipeline wants %q", key).Try("%s takes: %s", first, list(globs))
}

// filter returns the pipelines that want the object, as data or as labels.
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

// checkKey returns what is wrong with the key of an upload.
func checkKey(key string) error {
	var what string
	switch {
	case key == "":
		what = "is empty: write /uploads/<pipeline>/<name>"
	case len(key) > notification.MaxKey:
		what = fmt.Sprintf("has %d bytes; at most %d are taken", len(key), notification.MaxKey)
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
	return httperror.New(http.StatusBadRequest, "the key %.80q %s", key, what)
}

// append commits data of an origin.
func (f *F) append(ctx context.Context, pipeline, cause string, data ...events.Data) (eventlog.Appended, error) {
	return f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: pipeline, Function: Name, Cause: cause, Data: data, Attributes: causedBy(ctx)})
}
