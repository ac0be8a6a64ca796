package inference

import (
	"context"
	"sync"
	"time"
)

// shelf holds the loaded versions of all pipelines: those in a route, and some
// that are not, of which the one unused longest is closed when there are too
// many.
type shelf struct {
	spare int // how many that are in no route
	mu    sync.Mutex
	books map[shelfKey]*book
	clock uint64
}

type shelfKey struct {
	pipeline string
	version  int
}

// book is one version, loaded or being loaded.
type book struct {
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

func newShelf(spare int) *shelf { return &shelf{spare: spare, books: map[shelfKey]*book{}} }

// get gives a version, held for the caller; load loads it if it is not there,
// once however many ask.
func (s *shelf) get(ctx context.Context, key shelfKey, load func() (*version, error)) (*version, error) {
	s.mu.Lock()
	b := s.books[key]
	if b != nil && b.err != nil && time.Now().After(b.until) {
		delete(s.books, key)
		b = nil
	}
	if b == nil {
		b = &book{ready: make(chan struct{})}
		s.books[key] = b
		go s.fill(key, b, load)
	}
	s.mu.Unlock()
	select {
	case <-b.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	s.clock++
	b.used = s.clock
	if !b.version.acquire() {
		return nil, errGone // evicted since it became ready
	}
	return b.version, nil
}

var errGone = mistakef(503, "the version was unloaded while it was waited for; ask again")

func (s *shelf) fill(key shelfKey, b *book, load func() (*version, error)) {
	v, err := load()
	s.mu.Lock()
	s.clock++
	b.version, b.err, b.used, b.until = v, err, s.clock, time.Now().Add(rememberFailure)
	closed := s.books[key] != b
	gone := s.excess()
	s.mu.Unlock()
	if closed && v != nil {
		gone = append(gone, v)
	}
	close(b.ready)
	releaseAll(gone)
}

// forget lets a version that failed to load be tried at once.
func (s *shelf) forget(key shelfKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.books[key]; b != nil && b.err != nil {
		delete(s.books, key)
	}
}

// route marks the versions that are in the pipeline's route, which stay loaded.
func (s *shelf) route(pipeline string, versions map[int]bool) {
	s.mu.Lock()
	for key, b := range s.books {
		if key.pipeline == pipeline {
			b.routed = versions[key.version]
		}
	}
	gone := s.excess()
	s.mu.Unlock()
	releaseAll(gone)
}

// excess takes versions off the shelf until it holds no more than it may. The
// caller holds mu, and releases them without it.
func (s *shelf) excess() []*version {
	var gone []*version
	for {
		n := 0
		var oldest shelfKey
		var at *book
		for key, b := range s.books {
			if b.routed || b.version == nil {
				continue
			}
			n++
			if at == nil || b.used < at.used {
				oldest, at = key, b
			}
		}
		if n <= s.spare {
			return gone
		}
		delete(s.books, oldest)
		gone = append(gone, at.version)
	}
}

// loaded says whether a version is there and can be used without waiting.
func (s *shelf) loaded(key shelfKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.books[key]
	return b != nil && b.version != nil
}

// drop takes a version off the shelf; false if it is in a route and stays.
func (s *shelf) drop(key shelfKey) bool {
	s.mu.Lock()
	b := s.books[key]
	if b == nil || b.version == nil || b.routed {
		s.mu.Unlock()
		return b == nil || !b.routed
	}
	delete(s.books, key)
	s.mu.Unlock()
	b.version.release()
	return true
}

// clear lets go of all.
func (s *shelf) clear() {
	s.mu.Lock()
	var gone []*version
	for key, b := range s.books {
		if b.version != nil {
			gone = append(gone, b.version)
		}
		delete(s.books, key)
	}
	s.mu.Unlock()
	releaseAll(gone)
}

func releaseAll(versions []*version) {
	for _, v := range versions {
		v.release()
	}
}
