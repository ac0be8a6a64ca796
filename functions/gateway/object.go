package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// notice is what an object store told about one object.
type notice struct {
	events.Object
	removed bool
	// by is the kind of store: s3, minio, gcs, azure.
	by string
	// name is the store's name for what happened, id the notification's own.
	name, id string
}

// cause is what makes the notice one, however often it is told. Stores that
// neither number their events nor version their objects are told apart by the
// ETag, or else by the notification's id.
func (n notice) cause() string {
	parts := []string{"object", n.Bucket, n.Key, n.Version, n.Sequencer, n.name}
	if n.Version == "" && n.Sequencer == "" {
		parts = append(parts, n.ETag)
		if n.ETag == "" {
			parts = append(parts, n.id)
		}
	}
	return events.Cause(parts...)
}

func (n notice) data() events.Data {
	if n.removed {
		return events.ObjectRemoved{Object: n.Object, By: n.by}
	}
	return events.ObjectUploaded{Object: n.Object, By: n.by}
}

// outcome is what became of something that was told from outside.
type outcome string

const (
	taken     outcome = "taken"
	duplicate outcome = "duplicate"
	unwanted  outcome = "unwanted"
)

// told announces a notice in every pipeline that wants the object.
func (f *F) told(ctx context.Context, n notice) (outcome, error) {
	all, err := f.States.Configured(ctx)
	if err != nil {
		return "", err
	}
	out := unwanted
	for _, p := range filter(all, n.Bucket, n.Key) {
		if n.removed && !concerns(p, n) {
			continue
		}
		_, again, err := f.announce(ctx, p.Name, n.cause(), n.data())
		switch {
		case err != nil:
			return "", err
		case !again:
			out = taken
		case out == unwanted:
			out = duplicate
		}
	}
	if out == unwanted {
		f.Logger.InfoContext(ctx, "no pipeline wants the object", "bucket", n.Bucket, "key", n.Key, "event", n.name)
	}
	return out, nil
}

// concerns tells whether a removal means the object as the pipeline knows it:
// not an older version of it, and not one it has never heard of, unless the
// sequencer tells that the upload is still to come.
func concerns(p *state.Pipeline, n notice) bool {
	o := p.Objects[n.Name()]
	if o == nil {
		return n.Sequencer != ""
	}
	return n.Version == "" || o.Version == "" || n.Version == o.Version
}

// check says what is wrong with what a store told.
func (n notice) check() error {
	var errs []error
	scheme, name, ok := strings.Cut(n.Bucket, "://")
	if !ok || scheme != "s3" && scheme != "gs" && scheme != "azblob" {
		errs = append(errs, fmt.Errorf("bucket %.80q is not s3://, gs:// or azblob:// and a name", n.Bucket))
	} else if name == "" || len(name) > 255 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-_$") != "" {
		errs = append(errs, fmt.Errorf("bucket %.80q has no name that a bucket can have", n.Bucket))
	}
	switch {
	case n.Key == "":
		errs = append(errs, errors.New("key is missing"))
	case len(n.Key) > maxKey:
		errs = append(errs, fmt.Errorf("key has %d bytes; at most %d are taken", len(n.Key), maxKey))
	case !utf8.ValidString(n.Key) || strings.ContainsFunc(n.Key, unicode.IsControl):
		errs = append(errs, fmt.Errorf("key %.80q is not UTF-8 without control characters", n.Key))
	}
	for field, v := range map[string]string{"version": n.Version, "sequencer": n.Sequencer, "etag": n.ETag} {
		if len(v) > maxKey {
			errs = append(errs, fmt.Errorf("%s has %d characters; at most %d are taken", field, len(v), maxKey))
		}
	}
	if n.Size < 0 {
		errs = append(errs, fmt.Errorf("size %d is negative", n.Size))
	}
	return errors.Join(errs...)
}

// checked gives the notices when all of them are well formed, else every
// mistake. Folders, which some stores make objects of, are left out.
func checked(ns []notice) ([]notice, error) {
	var errs []error
	var out []notice
	for i, n := range ns {
		if err := n.check(); err != nil {
			errs = append(errs, fmt.Errorf("record %d: %w", i+1, err))
		}
		if !strings.HasSuffix(n.Key, "/") {
			out = append(out, n)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return out, nil
}
