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

	"millrace.dev/deploy/e2e/murder/checker"
)

// landing is a bucket behind an S3 server, whose notifications are told late,
// several times and out of order.
type landing struct {
	backend *s3mem.Backend
	address string
	server  *http.Server

	mu        sync.Mutex
	sequencer int
	objects   map[string]checker.Content
	mail      []*letter
}

// letter is a notification, to be told so many times more.
type letter struct {
	body  []byte
	times int
}

const bucket = "landing"

func newLanding() (*landing, error) {
	l := &landing{backend: s3mem.New(), objects: map[string]checker.Content{}, sequencer: 0xA0}
	if err := l.backend.CreateBucket(bucket); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.address = "http://" + listener.Addr().String()
	l.server = &http.Server{ //nolint:gosec // it talks with one client on this machine
		Handler:  gofakes3.New(l.backend).Server(),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = l.server.Serve(listener) }() // until close
	return l, nil
}

func (l *landing) close() error { return l.server.Close() }

// put puts an object into the bucket, or removes it when there is no content,
// and writes the letters that tell of it.
func (l *landing) put(rng *rand.Rand, key string, content []byte, good bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequencer++
	name := "s3://" + bucket + "/" + key
	what, etag := "ObjectRemoved:Delete", ""
	var err error
	if content == nil {
		_, err = l.backend.DeleteObject(bucket, key)
		l.objects[name] = checker.Content{}
	} else {
		m := md5.Sum(content) //nolint:gosec // it is S3's ETag
		what, etag = "ObjectCreated:Put", hex.EncodeToString(m[:])
		_, err = l.backend.PutObject(bucket, key, map[string]string{}, bytes.NewReader(content), int64(len(content)), nil)
		s := sha256.Sum256(content)
		l.objects[name] = checker.Content{Digest: "sha256:" + hex.EncodeToString(s[:]), Good: good}
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	body, err := json.Marshal(map[string]any{"EventName": "s3:" + what, "Key": bucket + "/" + key, "Records": []any{map[string]any{
		"eventVersion": "2.0", "eventSource": "minio:s3", "eventTime": "2026-01-31T12:00:00.000Z", "eventName": "s3:" + what,
		"responseElements": map[string]string{"x-amz-request-id": fmt.Sprintf("%016X", l.sequencer)},
		"s3": map[string]any{
			"bucket": map[string]string{"name": bucket},
			"object": map[string]any{"key": key, "size": len(content), "eTag": etag, "sequencer": fmt.Sprintf("%X", l.sequencer)},
		},
	}}})
	l.mail = append(l.mail, &letter{body: body, times: 1 + rng.IntN(3)})
	return err
}

// next takes a letter, any of them; nil when there is none.
func (l *landing) next(rng *rand.Rand) *letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mail) == 0 {
		return nil
	}
	return l.mail[rng.IntN(len(l.mail))]
}

// delivered notes that a letter has been taken.
func (l *landing) delivered(t *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.times--; t.times > 0 {
		return
	}
	for i, m := range l.mail {
		if m == t {
			l.mail = append(l.mail[:i], l.mail[i+1:]...)
			return
		}
	}
}

// contents are the objects as they are now.
func (l *landing) contents() map[string]checker.Content {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.objects)
}
