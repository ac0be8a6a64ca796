package main

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // it is S3's ETag
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// bucket is an S3 server with a bucket whose notifications come late, several
// times and out of order.
type bucket struct {
	backend *s3mem.Backend
	address string
	server  *http.Server

	mu        sync.Mutex
	sequencer int
	objects   map[string]checker.Content
	pending   []*notification
}

// notification is a message of the bucket, and how many more times it is to be
// delivered.
type notification struct {
	body  []byte
	times int
}

// bucketName is what the pipelines' globs name.
const bucketName = "uploads"

func newBucket() (*bucket, error) {
	b := &bucket{backend: s3mem.New(), objects: map[string]checker.Content{}, sequencer: 0xA0}
	if err := b.backend.CreateBucket(bucketName); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.address = "http://" + listener.Addr().String()
	b.server = &http.Server{ //nolint:gosec // it talks with one client on this machine
		Handler:  gofakes3.New(b.backend).Server(),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = b.server.Serve(listener) }() // until close
	return b, nil
}

func (b *bucket) close() error { return b.server.Close() }

// put writes an object, or removes it if content is nil, and queues its
// notification.
func (b *bucket) put(rng *rand.Rand, key string, content []byte, good bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sequencer++
	name := "s3://" + bucketName + "/" + key
	what, etag := "ObjectRemoved:Delete", ""
	var err error
	if content == nil {
		_, err = b.backend.DeleteObject(bucketName, key)
		b.objects[name] = checker.Content{}
	} else {
		m := md5.Sum(content) //nolint:gosec // it is S3's ETag
		what, etag = "ObjectCreated:Put", hex.EncodeToString(m[:])
		_, err = b.backend.PutObject(bucketName, key, map[string]string{}, bytes.NewReader(content), int64(len(content)), nil)
		s := sha256.Sum256(content)
		b.objects[name] = checker.Content{Digest: "sha256:" + hex.EncodeToString(s[:]), Good: good}
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	body, err := json.Marshal(map[string]any{"EventName": "s3:" + what, "Key": bucketName + "/" + key, "Records": []any{map[string]any{
		"eventVersion": "2.0", "eventSource": "minio:s3", "eventTime": "2026-01-31T12:00:00.000Z", "eventName": "s3:" + what,
		"responseElements": map[string]string{"x-amz-request-id": fmt.Sprintf("%016X", b.sequencer)},
		"s3": map[string]any{
			"bucket": map[string]string{"name": bucketName},
			"object": map[string]any{"key": key, "size": len(content), "eTag": etag, "sequencer": fmt.Sprintf("%X", b.sequencer)},
		},
	}}})
	b.pending = append(b.pending, &notification{body: body, times: 1 + rng.IntN(3)})
	return err
}

// next returns a random pending notification, nil if none is pending.
func (b *bucket) next(rng *rand.Rand) *notification {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		return nil
	}
	return b.pending[rng.IntN(len(b.pending))]
}

// delivered notes that a notification was accepted.
func (b *bucket) delivered(n *notification) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.times--; n.times > 0 {
		return
	}
	for i, m := range b.pending {
		if m == n {
			b.pending = append(b.pending[:i], b.pending[i+1:]...)
			return
		}
	}
}

// contents returns the objects as they are now.
func (b *bucket) contents() map[string]checker.Content {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.objects)
}
