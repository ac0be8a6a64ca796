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
	// cacheEvery is the number of sequences of the log after which a fold is cached again.
	cacheEvery = 1000
	// maxCached keeps an entry below the message limit of a NATS server.
	maxCached = 900 << 10
	// maxUncompressed bounds what a cached entry may unpack to.
	maxUncompressed = 256 << 20
)

// cache keeps folds in a KV bucket, so that a cold start folds only the tail of
// the log. It is optional: an entry that cannot be read is folded again.
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
	kv, err := log.Bucket(ctx, eventlog.States)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUncompressed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return &cache{kv: kv, busy: make(chan struct{}, 1), dec: dec}, nil
}

// cacheKey is a key of this program's own where programs have users of their own: a fold that another one has written would
// be believed.
func cacheKey(log *eventlog.Log, pipeline string) string { return log.OwnKey(Digest + "." + pipeline) }

// load returns the cached view, or the empty one.
func (c *cache) load(ctx context.Context, log *eventlog.Log, pipeline string) View {
	v, err := c.read(ctx, log, pipeline)
	if err != nil {
		return emptyView(pipeline)
	}
	return v
}

func (c *cache) read(ctx context.Context, log *eventlog.Log, pipeline string) (View, error) {
	entry, err := c.kv.Get(ctx, cacheKey(log, pipeline))
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

// save caches the view in the background, one at a time. Errors are ignored.
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
		_ = c.write(ctx, log, pipeline, v) // without the entry, the log is folded again
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
	_, err = c.kv.Put(ctx, cacheKey(log, pipeline), b)
	return err
}

// packWindow is the window of the compression. With the default, an encoder
// takes 17 MB.
const packWindow = 1 << 20

// pack compresses an entry. This is rare, so the encoder is not kept.
func pack(b []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(b, nil), enc.Close()
}

// identity returns what distinguishes this log from another.
func identity(ctx context.Context, log *eventlog.Log) (made time.Time, last uint64, err error) {
	s, err := log.JetStream().Stream(ctx, eventlog.Stream)
	if err != nil {
		return time.Time{}, 0, err
	}
	info := s.CachedInfo()
	return info.Created.UTC(), info.State.LastSeq, nil
}
