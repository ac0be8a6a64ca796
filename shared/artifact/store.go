// Package artifact keeps bytes by digest: partitions, profiles, models, logs,
// batches of predictions, uploads.
//
// A store is chosen by URL: file:///dir and mem:// are always there; s3://,
// gs:// and azblob:// when the program imports artifact/s3, artifact/gcs or
// artifact/azure, so that no function carries a cloud's client it does not
// use. Buckets are opened by gocloud.dev/blob, whose URL parameters apply
// (s3://bucket?region=eu-central-1&endpoint=...&use_path_style=true).
//
// What is put is named by its SHA-256, so that putting the same bytes twice is
// one object, nothing is ever overwritten, and a reference of an event leads to
// the same bytes in any store that has them. Bytes are written aside and appear
// whole or not at all; in a file store they are on the disk (fsync) before they
// appear, so that a power loss leaves no torn file under a good name. With
// file:///dir?sync=always the name is on the disk too before a put returns, as
// an event log that syncs always needs it; a put then takes more than twice as
// long. (Two puts of the same bytes under different file endings are two
// objects.)
package artifact

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"gocloud.dev/blob"
)

var (
	// ErrNotFound means that the store, or the bucket, does not have the bytes.
	ErrNotFound = errors.New("not in the artifact store")
	// ErrCorrupt means that the bytes do not match the digest.
	ErrCorrupt = errors.New("the bytes are not the ones their digest names")
	// ErrDiskFull means that a disk or a quota has no room for the bytes.
	ErrDiskFull = errors.New("no space left")
)

// Store is a store of bytes by digest. It is safe for concurrent use, and
// several processes may share one store and one cache folder.
type Store struct {
	url string
	// dir is the root of a file store; it is empty when bucket is set.
	dir    string
	bucket *blob.Bucket
	// syncDirs makes names durable before a put returns.
	syncDirs bool
	// cache holds local copies of objects in a bucket.
	cache   string
	scratch *scratch
	// below is read when this store does not have something; see Overlay.
	below *Store

	mu sync.Mutex
	// checked are the local files whose digest has been checked by this process.
	checked map[string]bool
}

// OpenStore opens the store at url. cacheDir holds local copies of remote
// objects, and scratch files; a file store keeps scratch files in the store
// itself and does not use cacheDir. Scratch files that a killed process left
// are removed.
func OpenStore(ctx context.Context, url, cacheDir string) (*Store, error) {
	s := &Store{url: url, checked: map[string]bool{}}
	scratchDir, err := s.open(ctx, cacheDir)
	if err != nil {
		return nil, fmt.Errorf("open artifact store: %w", unsecret(err, url))
	}
	if s.scratch, err = openScratch(scratchDir); err != nil {
		return nil, fmt.Errorf("open artifact store: %w", errors.Join(err, s.closeBucket()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, cacheDir string) (scratchDir string, err error) {
	dir, isFile, err := fileURL(s.url)
	if err != nil {
		return "", err
	}
	if isFile {
		s.dir, s.syncDirs = dir, strings.HasSuffix(s.url, syncAlways)
		return filepath.Join(dir, "tmp"), os.MkdirAll(filepath.Join(dir, digests), 0o755)
	}
	if s.bucket, err = openURL(ctx, s.url); err != nil {
		return "", err
	}
	if cacheDir, err = filepath.Abs(cacheDir); err != nil {
		return "", err
	}
	s.cache = cacheDir
	return filepath.Join(cacheDir, "tmp"), os.MkdirAll(filepath.Join(cacheDir, digests), 0o755)
}

// Overlay returns a store that reads through to this one and writes only to dir. Used for dry runs.
func (s *Store) Overlay(ctx context.Context, dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	out, err := OpenStore(ctx, "file://"+filepath.ToSlash(dir)+"?"+createDir, dir)
	if err != nil {
		return nil, err
	}
	out.below = s
	return out, nil
}

// URL returns the URL that the store was opened with.
func (s *Store) URL() string { return s.url }

// Close releases the store and removes its scratch files.
func (s *Store) Close() error { return errors.Join(s.scratch.close(), s.closeBucket()) }

func (s *Store) closeBucket() error {
	if s.bucket == nil {
		return nil
	}
	return s.bucket.Close()
}

// TempDir makes a folder for scratch files on the store's file system where
// possible, so that PutFile can move. The caller removes it; what a killed
// process left is removed at the next start, so nothing that must outlive the
// process belongs there.
func (s *Store) TempDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp(s.scratch.dir, strings.ReplaceAll(pattern, string(os.PathSeparator), "-"))
	return dir, full(err)
}

// Free returns how many bytes fit on the disk that is written to first: the
// store's own in a file store, else that of the cache folder.
func (s *Store) Free() (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.scratch.dir, &fs); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.scratch.dir, err)
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil //nolint:unconvert // of another size on other systems
}

// syncAlways in the query of a file store's URL makes names durable too;
// createDir is gocloud's, and always the case.
const (
	syncAlways = "sync=always"
	createDir  = "create_dir=true"
)

// fileURL returns the folder of a file:// URL; ok is false for other schemes.
func fileURL(raw string) (dir string, ok bool, err error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "", false, err
	case raw == "":
		return "", false, errors.New("the URL is empty; write file:///folder or s3://bucket")
	case u.Scheme == "":
		return "", false, fmt.Errorf("%q has no scheme; a folder is written file:///folder", raw)
	case u.Scheme != "file":
		return "", false, nil
	case u.Host != "" && u.Host != "." && u.Host != "localhost":
		return "", false, fmt.Errorf("%q names the host %q; write file:///%s%s for a folder of this machine", raw, u.Host, u.Host, u.Path)
	case strings.Trim(strings.NewReplacer(createDir, "", syncAlways, "").Replace(u.RawQuery), "&") != "":
		return "", false, fmt.Errorf("%q: a file store takes no parameter but %s", raw, syncAlways)
	}
	dir = u.Path
	if u.Opaque != "" { // file:folder
		dir = u.Opaque
	}
	if u.Host == "." { // file://./folder
		dir = "." + dir
	}
	if dir == "" || dir == "/" {
		return "", false, fmt.Errorf("%q names no folder", raw)
	}
	dir, err = filepath.Abs(dir)
	return dir, true, err
}

// openURL opens a bucket of a scheme that is linked into the program.
func openURL(ctx context.Context, raw string) (*blob.Bucket, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	mux := blob.DefaultURLMux()
	if !mux.ValidBucketScheme(u.Scheme) {
		return nil, fmt.Errorf("%s: this program has no support for %q; it has %s", raw, u.Scheme+"://", strings.Join(mux.BucketSchemes(), "://, ")+"://")
	}
	b, err := mux.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	return b, nil
}

// full turns the system's error about a full disk into a sentence for people.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: free some space on the disk, or point the store to a larger one: %w", ErrDiskFull, err)
	}
	return err
}
