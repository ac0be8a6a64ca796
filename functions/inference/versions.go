package inference

import (
	"context"
	"net/http"
	"sync"
	"time"

	"millrace.dev/functions/inference/codec"
)

// versionCache holds the loaded versions of all pipelines: those in a route, and
// some that are not. When there are too many of those, the least recently used
// one is evicted. It is safe for concurrent use.
type versionCache struct {
	spare   int // how many that are in no route
	mu      sync.Mutex
	entries map[versionKey]*entry
	clock   uint64
}

type versionKey struct {
	pipeline string
	version  int
}

// entry is one version, loaded or being loaded.
type entry struct {
	ready   chan struct{}
	version *version
	err     error
	until   time.Time // how long err is remembered
	used    uint64
	routed  bool
}

// rememberFailure is how long a version that could not be loaded on request is
// not tried again.
const rememberFailure = 5 * time.Second

func newVersionCache(spare int) *versionCache {
	return &versionCache{spare: spare, entries: map[versionKey]*entry{}}
}

// get returns a version, acquired for the caller. If it is not there, load loads
// it, once for all concurrent callers.
func (c *versionCache) get(ctx context.Context, key versionKey, load func() (*version, error)) (*version, error) {
	c.mu.Lock()
	e := c.entries[key]
	if e != nil && e.err != nil && time.Now().After(e.until) {
		delete(c.entries, key)
		e = nil
	}
	if e == nil {
		e = &entry{ready: make(chan struct{})}
		c.entries[key] = e
		go c.fill(key, e, load)
	}
	c.mu.Unlock()
	select {
	case <-e.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.err != nil {
		return nil, e.err
	}
	c.clock++
	e.used = c.clock
	if !e.version.acquire() {
		return nil, errUnloaded // evicted since it became ready
	}
	return e.version, nil
}

var errUnloaded = codec.Errorf(http.StatusServiceUnavailable, "the version was unloaded before it could answer; try again")

func (c *versionCache) fill(key versionKey, e *entry, load func() (*version, error)) {
	v, err := load()
	c.mu.Lock()
	c.clock++
	e.version, e.err, e.used, e.until = v, err, c.clock, time.Now().Add(rememberFailure)
	closed := c.entries[key] != e
	gone := c.evict()
	c.mu.Unlock()
	if closed && v != nil {
		gone = append(gone, v)
	}
	close(e.ready)
	releaseAll(gone)
}

// retry lets a version that failed to load be tried again at once.
func (c *versionCache) retry(key versionKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil && e.err != nil {
		delete(c.entries, key)
	}
}

// route marks the versions that are in the pipeline's route, which stay loaded.
func (c *versionCache) route(pipeline string, versions map[int]bool) {
	c.mu.Lock()
	for key, e := range c.entries {
		if key.pipeline == pipeline {
			e.routed = versions[key.version]
		}
	}
	gone := c.evict()
	c.mu.Unlock()
	releaseAll(gone)
}

// evict removes the least recently used versions until no more than spare are
// outside of routes. The caller holds mu, and releases what is returned without
// it.
func (c *versionCache) evict() []*version {
	var gone []*version
	for {
		n := 0
		var oldest versionKey
		var at *entry
		for key, e := range c.entries {
			if e.routed || e.version == nil {
				continue
			}
			n++
			if at == nil || e.used < at.used {
				oldest, at = key, e
			}
		}
		if n <= c.spare {
			return gone
		}
		delete(c.entries, oldest)
		gone = append(gone, at.version)
	}
}

// loaded reports whether a version is there and can be used without waiting.
func (c *versionCache) loaded(key versionKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	return e != nil && e.version != nil
}

// unload removes a version; false if it is in a route and stays.
func (c *versionCache) unload(key versionKey) bool {
	c.mu.Lock()
	e := c.entries[key]
	if e == nil || e.version == nil || e.routed {
		c.mu.Unlock()
		return e == nil || !e.routed
	}
	delete(c.entries, key)
	c.mu.Unlock()
	e.version.release()
	return true
}

// clear releases all versions.
func (c *versionCache) clear() {
	c.mu.Lock()
	var gone []*version
	for key, e := range c.entries {
		if e.version != nil {
			gone = append(gone, e.version)
		}
		delete(c.entries, key)
	}
	c.mu.Unlock()
	releaseAll(gone)
}

func releaseAll(versions []*version) {
	for _, v := range versions {
		v.release()
	}
}
