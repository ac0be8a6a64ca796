package state

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
)

const (
	cacheBucket = "STATES"
	// cacheEvery is after how many sequences of the log a fold is cached again.
	cacheEvery = 1000
	// maxCached keeps an entry below what a NATS server takes.
	maxCached = 900 << 10
	// maxUncompressed bounds what a cached entry may unpack to.
	maxUncompressed = 256 << 20
)

// cache keeps folds in a KV bucket, so that a cold start folds a tail and not
// the whole log. It is never needed: what cannot be read is folded again.
type cache struct {
	kv   jetstream.KeyValue
	busy chan struct{}
	dec  *zstd.Decoder
}

type cached struct {
	Sequence uint64            `json:"sequence"`
	Guards   map[string]uint64 `json:"guards"`
	Pipeline *Pipeline         `json:"pipeline"`
	// Log is when the log was made: sequences mean nothing in another one.
	Log time.Time `json:"log"`
}

func openCache(ctx context.Context, log *eventlog.Log) (*cache, error) {
	replicas, err := log.Replicas(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := log.JetStream().CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: cacheBucket, Description: "Millrace's cached states; may be deleted at any time", History: 1, Replicas: replicas,
	})
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUncompressed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return &cache{kv: kv, busy: make(chan struct{}, 1), dec: dec}, nil
}

func cacheKey(pipeline string) string { return Digest + "." + pipeline }

// load gives the cached view, or the empty one.
func (c *cache) load(ctx context.Context, log *eventlog.Log, pipeline string) View {
	v, err := c.read(ctx, log, pipeline)
	if err != nil {
		return emptyView(pipeline)
	}
	return v
}

func (c *cache) read(ctx context.Context, log *eventlog.Log, pipeline string) (View, error) {
	entry, err := c.kv.Get(ctx, cacheKey(pipeline))
	if err != nil {
		return View{}, err
	}
	got, err := c.decode(entry.Value())
	if err != nil {
		return View{}, err
	}
	made, last, err := identity(ctx, log)
	if err != nil {
		return View{}, err
	}
	if !made.Equal(got.Log) || got.Sequence > last {
		return View{}, errStale
	}
	return View{Pipeline: got.Pipeline, Sequence: got.Sequence, guards: got.Guards}, nil
}

// decode reads an entry.
func (c *cache) decode(entry []byte) (cached, error) {
	b, err := c.dec.DecodeAll(entry, nil)
	if err != nil {
		return cached{}, err
	}
	var got cached
	if err := json.Unmarshal(b, &got); err != nil {
		return cached{}, err
	}
	if got.Pipeline == nil {
		return cached{}, errStale
	}
	if got.Guards == nil {
		got.Guards = map[string]uint64{}
	}
	return got, nil
}

// save caches the view in the background; one at a time, and never mind.
func (c *cache) save(log *eventlog.Log, pipeline string, v View) {
	select {
	case c.busy <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-c.busy }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.write(ctx, log, pipeline, v) // a cache that is not written is folded again
	}()
}

func (c *cache) write(ctx context.Context, log *eventlog.Log, pipeline string, v View) error {
	made, _, err := identity(ctx, log)
	if err != nil {
		return err
	}
	b, err := json.Marshal(cached{Sequence: v.Sequence, Guards: v.guards, Pipeline: v.Pipeline, Log: made})
	if err != nil {
		return err
	}
	if b, err = pack(b); err != nil {
		return err
	}
	if len(b) > maxCached {
		return fmt.Errorf("the state of %s takes %d bytes, too many for a cache entry", pipeline, len(b))
	}
	_, err = c.kv.Put(ctx, cacheKey(pipeline), b)
	return err
}

// packWindow is how far back compression looks. By itself it looks so far that
// an encoder holds 17 MB.
const packWindow = 1 << 20

// pack compresses an entry. A state is cached so rarely that nothing is kept
// for the next time.
func pack(b []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(b, nil), enc.Close()
}

// identity tells one log from another.
func identity(ctx context.Context, log *eventlog.Log) (made time.Time, last uint64, err error) {
	s, err := log.JetStream().Stream(ctx, eventlog.Stream)
	if err != nil {
		return time.Time{}, 0, err
	}
	info := s.CachedInfo()
	return info.Created.UTC(), info.State.LastSeq, nil
}
