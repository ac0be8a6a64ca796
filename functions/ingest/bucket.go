package ingest

import (
	"context"
	"errors"
	"sync"

	"millrace.dev/shared/artifact"
)

// buckets are the open foreign buckets by URL. They stay open, since opening
// one looks up credentials.
type buckets struct {
	options string

	mu   sync.Mutex
	open map[string]*artifact.Bucket
}

func (b *buckets) get(ctx context.Context, url string) (*artifact.Bucket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bucket := b.open[url]; bucket != nil {
		return bucket, nil
	}
	bucket, err := artifact.OpenBucket(ctx, url, b.options)
	if err != nil {
		return nil, err
	}
	if b.open == nil {
		b.open = map[string]*artifact.Bucket{}
	}
	b.open[url] = bucket
	return bucket, nil
}

func (b *buckets) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, bucket := range b.open {
		errs = append(errs, bucket.Close())
	}
	b.open = nil
	return errors.Join(errs...)
}
