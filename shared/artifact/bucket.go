package artifact

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // registers file://
	_ "gocloud.dev/blob/memblob"  // registers mem://
	"gocloud.dev/gcerrors"

	"millrace.dev/events"
)

// Bucket is a foreign bucket, from which uploads are read: the one named in an
// object's Bucket ("s3://landing"). It is safe for concurrent use.
type Bucket struct {
	name   string
	bucket *blob.Bucket
}

// OpenBucket opens the bucket at that URL. options are added to the URL as
// its query (region, endpoint), from the installation's settings.
func OpenBucket(ctx context.Context, name, options string) (*Bucket, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", unsecret(err, name))
	}
	if options != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += options
	}
	b, err := openURL(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("open bucket %w", unsecret(err, u.String()))
	}
	u.RawQuery = ""
	return &Bucket{name: u.String(), bucket: b}, nil
}

// Open reads an object; size is -1 if unknown. The error is ErrNotFound if it is gone.
func (b *Bucket) Open(ctx context.Context, key string) (r io.ReadCloser, size int64, err error) {
	br, err := b.bucket.NewReader(ctx, key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, 0, fmt.Errorf("object %s of %s: %w", key, b.name, ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("object %s of %s: %w", key, b.name, err)
	}
	return br, br.Size(), nil
}

// List calls f for each object below prefix in key order, until f returns
// false. If the store has no MD5 of an object, its ETag is derived from size
// and modification time.
func (b *Bucket) List(ctx context.Context, prefix string, f func(events.Object) bool) error {
	for it := b.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s/%s: %w", b.name, prefix, err)
		}
		etag := hex.EncodeToString(o.MD5)
		if etag == "" {
			etag = strconv.FormatInt(o.ModTime.UnixNano(), 16) + "-" + strconv.FormatInt(o.Size, 16)
		}
		if !f(events.Object{Bucket: b.name, Key: o.Key, Size: o.Size, ETag: etag}) {
			return nil
		}
	}
}

// Close releases the bucket.
func (b *Bucket) Close() error { return b.bucket.Close() }
