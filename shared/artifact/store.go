// Package artifact keeps bytes by digest: partitions, profiles, models, logs,
// batches of predictions, uploads.
//
// A store is a bucket of gocloud.dev/blob chosen by URL (file:///dir,
// s3://bucket?region=..., gs://, azblob://, mem://). What is put is named by
// its SHA-256, so that putting the same bytes twice is one object, nothing is
// ever overwritten, and a reference of an event leads to the same bytes in any
// store that has them. Bytes are written aside and appear whole or not at all.
package artifact

import (
	"context"
	"errors"
	"io"

	"millrace.dev/events"
)

// ErrNotFound says that the store does not have the bytes.
var ErrNotFound = errors.New("not in the artifact store")

// Put stores what r gives, up to EOF, and returns its reference. suffix is a
// file ending for people and tools (".parquet"), may be empty.
func (s *Store) Put(ctx context.Context, r io.Reader, suffix string) (events.Ref, error) {
	panic("being written")
}

// PutBytes stores b.
func (s *Store) PutBytes(ctx context.Context, b []byte, suffix string) (events.Ref, error) {
	panic("being written")
}

// PutFile stores the file at path; in a file store on the same file system it
// is linked or renamed, not copied, when move is set.
func (s *Store) PutFile(ctx context.Context, path, suffix string, move bool) (events.Ref, error) {
	panic("being written")
}

// Open reads the bytes of ref. The digest is checked while they are read: the
// reader's last Read fails when they are not the ones that were meant.
func (s *Store) Open(ctx context.Context, ref events.Ref) (io.ReadCloser, error) {
	panic("being written")
}

// Bytes reads the whole of ref, which must not be larger than limit.
func (s *Store) Bytes(ctx context.Context, ref events.Ref, limit int64) ([]byte, error) {
	panic("being written")
}

// Path gives a local file with the bytes of ref, to be read only: the store's
// own in a file store, else a copy in the cache folder. The digest has been
// checked once. The file stays until the store is closed or longer.
func (s *Store) Path(ctx context.Context, ref events.Ref) (string, error) {
	panic("being written")
}

// TempDir makes a folder for scratch files on the store's file system where
// possible, so that PutFile can move. The caller removes it; what a killed
// process left is removed at the next start.
func (s *Store) TempDir(pattern string) (string, error) {
	panic("being written")
}

// Store is a store of bytes by digest. It is safe for concurrent use.
type Store struct{}

// OpenStore opens the store at url. cacheDir holds local copies of what lies
// elsewhere, and scratch files.
func OpenStore(ctx context.Context, url, cacheDir string) (*Store, error) {
	panic("being written")
}

// Close releases the store.
func (s *Store) Close() error { panic("being written") }

// Bucket is a foreign bucket, from which uploads are read: the one named in an
// object's Bucket ("s3://landing").
type Bucket struct{}

// OpenBucket opens the bucket of that URL. options are added to the URL as
// its query (region, endpoint), from the installation's settings.
func OpenBucket(ctx context.Context, url, options string) (*Bucket, error) { panic("being written") }

// Open reads an object; size is -1 if unknown. ErrNotFound if it is gone.
func (b *Bucket) Open(ctx context.Context, key string) (r io.ReadCloser, size int64, err error) {
	panic("being written")
}

// List calls f for each object below prefix in key order, until f returns false.
func (b *Bucket) List(ctx context.Context, prefix string, f func(events.Object) bool) error {
	panic("being written")
}

// Close releases the bucket.
func (b *Bucket) Close() error { panic("being written") }
