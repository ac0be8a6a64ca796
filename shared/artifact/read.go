package artifact

import (
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

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"millrace.dev/events"
)

// Open reads the bytes of ref. The digest is checked while they are read: the
// reader's last Read fails with ErrCorrupt when they do not match. The error is
// ErrNotFound when the store does not have them.
func (s *Store) Open(ctx context.Context, ref events.Ref) (io.ReadCloser, error) {
	r, err := s.openRef(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("open artifact %s: %w", ref.Short(), err)
	}
	return &checkedReader{ReadCloser: r, hash: sha256.New(), ref: ref}, nil
}

func (s *Store) openRef(ctx context.Context, ref events.Ref) (io.ReadCloser, error) {
	r, err := s.openOwn(ctx, ref)
	if errors.Is(err, ErrNotFound) && s.below != nil {
		return s.below.openRef(ctx, ref)
	}
	return r, err
}

func (s *Store) openOwn(ctx context.Context, ref events.Ref) (io.ReadCloser, error) {
	k, err := keyOf(ref)
	if err != nil {
		return nil, err
	}
	r, err := s.openKey(ctx, k)
	if !errors.Is(err, ErrNotFound) {
		return r, err
	}
	// The bytes may be there under another ending.
	if k, err = s.find(ctx, ref); err != nil {
		return nil, err
	}
	return s.openKey(ctx, k)
}

// openKey reads an object: a file of the store, a local copy, or the bucket.
func (s *Store) openKey(ctx context.Context, key string) (io.ReadCloser, error) {
	f, err := os.Open(s.path(key))
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if s.bucket == nil {
		return nil, ErrNotFound
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// path returns the path of an object as a local file: in the store or in the cache.
func (s *Store) path(key string) string {
	root := s.dir
	if root == "" {
		root = s.cache
	}
	return filepath.Join(root, filepath.FromSlash(key))
}

// find returns the key of any object with the digest.
func (s *Store) find(ctx context.Context, ref events.Ref) (string, error) {
	prefix, err := key(ref.Digest, "")
	if err != nil {
		return "", err
	}
	if s.bucket == nil {
		found, err := filepath.Glob(escapeGlob(s.path(prefix)) + "*")
		if err != nil || len(found) == 0 {
			return "", ErrNotFound
		}
		name, err := filepath.Rel(s.dir, found[0])
		return filepath.ToSlash(name), err
	}
	o, err := s.bucket.List(&blob.ListOptions{Prefix: prefix}).Next(ctx)
	if errors.Is(err, io.EOF) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", err
	}
	return o.Key, nil
}

// Bytes reads the whole of ref, which must not be larger than limit.
func (s *Store) Bytes(ctx context.Context, ref events.Ref, limit int64) (_ []byte, err error) {
	if ref.Size > limit {
		return nil, fmt.Errorf("artifact %s has %d bytes; at most %d are read", ref.Short(), ref.Size, limit)
	}
	r, err := s.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read artifact %s: %w", ref.Short(), err)
	}
	return b, nil
}

// Path returns the path of a local file with the bytes of ref, which must only
// be read: the store's own in a file store, else a copy in the cache folder.
// This process has checked its digest once. The file stays at least until the
// store is closed.
func (s *Store) Path(ctx context.Context, ref events.Ref) (string, error) {
	path, err := s.localPath(ctx, ref)
	if errors.Is(err, ErrNotFound) && s.below != nil {
		return s.below.Path(ctx, ref)
	}
	if err != nil {
		return "", fmt.Errorf("local copy of artifact %s: %w", ref.Short(), err)
	}
	return path, nil
}

func (s *Store) localPath(ctx context.Context, ref events.Ref) (string, error) {
	k, err := keyOf(ref)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(s.path(k)); errors.Is(err, fs.ErrNotExist) && s.bucket == nil {
		if k, err = s.find(ctx, ref); err != nil {
			return "", err
		}
	}
	path := s.path(k)
	if s.isChecked(path) {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	err = s.check(path, ref)
	if s.bucket != nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt)) {
		err = s.download(ctx, ref, path)
	}
	if err != nil {
		return "", err
	}
	s.setChecked(path)
	return path, nil
}

// check reads the file and compares its digest.
func (s *Store) check(path string, ref events.Ref) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	r := &checkedReader{ReadCloser: f, hash: sha256.New(), ref: ref}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// download copies an object into the cache, under a temporary name until it is complete.
func (s *Store) download(ctx context.Context, ref events.Ref, path string) (err error) {
	f, err := os.CreateTemp(s.scratch.dir, "get")
	if err != nil {
		return full(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, f.Close()) // A broken copy must not be read again.
	}
	r, err := s.openRef(ctx, ref)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	checked := &checkedReader{ReadCloser: r, hash: sha256.New(), ref: ref}
	_, err = io.Copy(f, checked)
	err = errors.Join(err, checked.Close(), f.Chmod(0o444), f.Close())
	if err != nil {
		return full(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return full(err)
	}
	return full(os.Rename(f.Name(), path))
}

// maxChecked bounds the memory for checked files to some 2 MB; beyond it, files are checked again.
const maxChecked = 10_000

func (s *Store) setChecked(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.checked) >= maxChecked {
		clear(s.checked)
	}
	s.checked[path] = true
}

func (s *Store) isChecked(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked[path]
}

// checkedReader compares the digest of what it read with the reference's.
type checkedReader struct {
	io.ReadCloser
	hash hash.Hash
	ref  events.Ref
	err  error
}

func (r *checkedReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.ReadCloser.Read(p)
	r.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := digests + ":" + hex.EncodeToString(r.hash.Sum(nil)); got != r.ref.Digest {
			err = fmt.Errorf("%w: %s has become %s", ErrCorrupt, r.ref.Digest, got)
		}
	}
	r.err = err
	return n, err
}
