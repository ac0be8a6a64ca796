package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
)

// upload is the bytes of an object as a local file, to be read only.
type upload struct {
	duck.Source
	digest string
}

var errGone = errors.New("the object is no longer in its bucket")

// fetch gives the bytes of an object. A copy that has to be made lies in dir.
// An object that is too large is a *table.Unreadable; one that is no longer in
// its bucket is errGone.
func (f *F) fetch(ctx context.Context, d events.ObjectUploaded, dir string) (upload, error) {
	up := upload{Source: duck.Source{Name: d.Key}}
	if !d.Content.IsZero() {
		if d.Content.Size > f.cfg.MaxBytes {
			return up, f.tooLarge(d.Key, d.Content.Size)
		}
		path, err := f.deps.Artifacts.Path(ctx, d.Content)
		if err != nil {
			return up, fmt.Errorf("upload %s: %w", d.Key, err)
		}
		up.Path, up.digest = path, d.Content.Digest
		return up, nil
	}
	bucket, err := f.buckets.get(ctx, d.Bucket)
	if err != nil {
		return up, err
	}
	r, size, err := bucket.Open(ctx, d.Key)
	if errors.Is(err, artifact.ErrNotFound) {
		return up, errGone
	}
	if err != nil {
		return up, err
	}
	defer r.Close()
	if size > f.cfg.MaxBytes {
		return up, f.tooLarge(d.Key, size)
	}
	up.Path = filepath.Join(dir, "upload"+artifact.Suffix(d.Key))
	file, err := os.Create(up.Path)
	if err != nil {
		return up, err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(r, f.cfg.MaxBytes+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return up, fmt.Errorf("read %s: %w", d.Name(), err)
	}
	if n > f.cfg.MaxBytes {
		return up, f.tooLarge(d.Key, n)
	}
	up.digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	return up, nil
}

func (f *F) tooLarge(key string, size int64) error {
	return &table.Unreadable{
		Name:   key,
		Reason: fmt.Sprintf("the object has %d bytes; at most %d are taken", size, f.cfg.MaxBytes),
		Try:    "upload it in several smaller files",
	}
}
