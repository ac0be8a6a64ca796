package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"millrace.dev/events"
	"millrace.dev/shared/failpoint"
)

// Put stores the content of r, up to EOF, and returns its reference. suffix is
// a file ending for people and tools (".parquet"); it may be empty, and is left
// out if it has other characters than letters and digits. An error of r is
// returned wrapped, and nothing is stored.
func (s *Store) Put(ctx context.Context, r io.Reader, suffix string) (events.Ref, error) {
	ref, err := s.put(ctx, r, suffix)
	if err != nil {
		return events.Ref{}, fmt.Errorf("store artifact: %w", err)
	}
	return ref, nil
}

func (s *Store) put(ctx context.Context, r io.Reader, suffix string) (_ events.Ref, err error) {
	f, err := os.CreateTemp(s.scratch.dir, "put")
	if err != nil {
		return events.Ref{}, full(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		// Gone when it was moved.
		if e := os.Remove(f.Name()); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}()
	h := sha256.New()
	failpoint.Hit("artifact.begin")
	n, err := io.Copy(f, io.TeeReader(&contextReader{ctx, r}, h))
	if err != nil {
		return events.Ref{}, full(err)
	}
	return s.publish(ctx, f, h, n, suffix)
}

// PutBytes stores b.
func (s *Store) PutBytes(ctx context.Context, b []byte, suffix string) (events.Ref, error) {
	return s.Put(ctx, bytes.NewReader(b), suffix)
}

// PutFile stores the file at path. With move the file is removed; in a file
// store on the same file system it is renamed, not copied. It must not be
// written to meanwhile.
func (s *Store) PutFile(ctx context.Context, path, suffix string, move bool) (events.Ref, error) {
	ref, err := s.putFile(ctx, path, suffix, move)
	if err != nil {
		return events.Ref{}, fmt.Errorf("store file %s: %w", path, err)
	}
	return ref, nil
}

// PutOpen stores the regular file f, which is open at its beginning, as PutFile
// does without move: for files whose path may lead elsewhere by the time it is
// opened.
func (s *Store) PutOpen(ctx context.Context, f *os.File, suffix string) (events.Ref, error) {
	ref, err := s.putOpen(ctx, f, suffix, false)
	if err != nil {
		return events.Ref{}, fmt.Errorf("store file %s: %w", f.Name(), err)
	}
	return ref, nil
}

func (s *Store) putFile(ctx context.Context, path, suffix string, move bool) (_ events.Ref, err error) {
	f, err := os.Open(path)
	if err != nil {
		return events.Ref{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return s.putOpen(ctx, f, suffix, move)
}

func (s *Store) putOpen(ctx context.Context, f *os.File, suffix string, move bool) (events.Ref, error) {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return events.Ref{}, errors.Join(err, errors.New("it is not a regular file"))
	}
	if !move && s.dir != "" {
		return s.put(ctx, f, suffix)
	}
	h := sha256.New()
	n, err := io.Copy(h, &contextReader{ctx, f})
	if err != nil {
		return events.Ref{}, err
	}
	ref, err := s.publish(ctx, f, h, n, suffix)
	if errors.Is(err, syscall.EXDEV) {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			ref, err = s.put(ctx, f, suffix)
		}
	}
	if err != nil || !move {
		return ref, err
	}
	// Gone when it was renamed.
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return events.Ref{}, err
	}
	return ref, nil
}

// publish adds the n bytes of f, whose digest is h, to the store: it renames f
// in a file store, and uploads it otherwise.
func (s *Store) publish(ctx context.Context, f *os.File, h hash.Hash, n int64, suffix string) (events.Ref, error) {
	digest := digests + ":" + hex.EncodeToString(h.Sum(nil))
	k, err := key(digest, suffix)
	if err != nil {
		return events.Ref{}, err
	}
	ref := events.Ref{URL: k, Digest: digest, Size: n}
	if s.dir != "" {
		return ref, full(s.rename(f, k, n))
	}
	return ref, s.upload(ctx, f, k, n)
}

func (s *Store) rename(f *os.File, key string, n int64) error {
	path := filepath.Join(s.dir, filepath.FromSlash(key))
	if info, err := os.Stat(path); err == nil && info.Size() == n {
		return nil
	}
	if err := f.Chmod(0o444); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	failpoint.Hit("artifact.before")
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	failpoint.Hit("artifact.after")
	s.setChecked(path)
	if !s.syncDirs {
		return nil
	}
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(filepath.Join(s.dir, digests)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) upload(ctx context.Context, f *os.File, key string, n int64) error {
	if a, err := s.bucket.Attributes(ctx, key); err == nil && a.Size == n {
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err := s.bucket.Upload(ctx, key, f, &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return nil // Another writer stored the same bytes at the same time.
	}
	return err
}

// contextReader ends a copy when the context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
