package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// Store folds the log, and keeps the folds of the pipelines it was asked for
// in memory. It is safe for concurrent use.
type Store struct {
	log    *eventlog.Log
	cache  *cache
	logger *slog.Logger
	mu     sync.Mutex
	folds  map[string]*fold
}

// NewStore makes a store over the log. It caches states in a KV bucket beside
// the log, which may be deleted at any time.
func NewStore(ctx context.Context, log *eventlog.Log, logger *slog.Logger) (*Store, error) {
	c, err := openCache(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("open the state cache: %w", err)
	}
	return &Store{log: log, cache: c, logger: logger, folds: map[string]*fold{}}, nil
}

// View is a state with the sequences that guard decisions made on it.
type View struct {
	*Pipeline
	// Sequence is the last one folded.
	Sequence uint64
	guards   map[string]uint64
}

// Guard returns the guard of a decision on this view that depends on the noun.
func (v View) Guard(noun string) eventlog.Guard {
	return eventlog.Guard{Noun: noun, Sequence: v.guards[noun]}
}

// Load returns the current state of a pipeline: everything that the log's
// leader had when it was asked. The state of an unknown pipeline is empty.
func (s *Store) Load(ctx context.Context, pipeline string) (*Pipeline, error) {
	v, err := s.View(ctx, pipeline)
	return v.Pipeline, err
}

// View returns the current state with its guards.
func (s *Store) View(ctx context.Context, pipeline string) (View, error) {
	s.mu.Lock()
	f := s.folds[pipeline]
	if f == nil {
		f = &fold{view: emptyView(pipeline)}
		s.folds[pipeline] = f
	}
	s.mu.Unlock()
	v, err := f.refresh(ctx, s, pipeline)
	if err != nil {
		return View{}, fmt.Errorf("load the state of %s: %w", pipeline, err)
	}
	return v, nil
}

// At names a point of the past: a sequence of the log or a time.
type At struct {
	Sequence uint64
	Time     time.Time
}

// LoadAt returns the state at a point of the past, rounded down to the end of a
// commit; the current state for the zero At. If both a sequence and a time are
// set, the earlier one applies. A time is compared with those of the pipeline's
// events, so that the past of an imported pipeline is that of the log it came
// from. It means the last event, by sequence, that was recorded at or before
// it. If the clock was set back and a time occurs twice, it is the second
// occurrence, with everything before it.
func (s *Store) LoadAt(ctx context.Context, pipeline string, at At) (*Pipeline, error) {
	if at == (At{}) {
		return s.Load(ctx, pipeline)
	}
	p := New(pipeline)
	var commit []events.Envelope
	over, again := false, uint64(0)
	for r, err := range s.log.Recorded(ctx, eventlog.Filter{Pipeline: pipeline, To: at.Sequence}) {
		if err != nil {
			return nil, fmt.Errorf("load the state of %s as it was: %w", pipeline, err)
		}
		if r.Unreadable != "" {
			continue
		}
		if !at.Time.IsZero() && r.Time.After(at.Time) {
			over = true
			continue
		}
		if over { // the clock had been set back
			again = r.Sequence
			continue
		}
		if commit = append(commit, r.Envelope); r.More > 0 {
			continue
		}
		for _, e := range commit {
			p = Apply(p, e)
		}
		commit = commit[:0]
	}
	if again > 0 {
		return s.LoadAt(ctx, pipeline, At{Sequence: again})
	}
	return p, nil
}

// Configured returns the states of all configured pipelines, sorted by name.
func (s *Store) Configured(ctx context.Context) ([]*Pipeline, error) {
	names, err := s.log.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	var out []*Pipeline
	for _, name := range names {
		p, err := s.Load(ctx, name)
		if err != nil {
			return nil, err
		}
		if p.Config != nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// fold is one pipeline's fold. Each caller brings it up to date.
type fold struct {
	begun atomic.Uint64 // refreshes that have begun
	mu    sync.Mutex    // held by the refresh under way
	done  uint64        // the newest refresh that ended well
	view  View
	saved uint64 // sequence of the fold that was last cached
}

func emptyView(pipeline string) View {
	return View{Pipeline: New(pipeline), guards: map[string]uint64{}}
}

// refresh folds the tail of the log. A caller that waited uses the result of a
// refresh that began after its call, so that many handlers share one request to
// the leader.
func (f *fold) refresh(ctx context.Context, s *Store, pipeline string) (View, error) {
	asked := f.begun.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done > asked {
		return f.view, nil
	}
	mine := f.begun.Add(1)
	if f.view.Sequence == 0 {
		f.view = s.cache.load(ctx, s.log, pipeline)
		f.saved = f.view.Sequence
	}
	v, err := s.tail(ctx, pipeline, f.view)
	if err != nil {
		return View{}, err
	}
	f.view, f.done = v, mine
	if v.Sequence >= f.saved+cacheEvery {
		f.saved = v.Sequence
		s.cache.save(s.log, pipeline, v)
	}
	return v, nil
}

// bulkAfter is the number of events that are requested from the leader one by
// one before the rest is read in bulk.
const bulkAfter = 64

func (s *Store) tail(ctx context.Context, pipeline string, v View) (View, error) {
	more, waited := 0, time.Duration(0)
	for n := 0; ; n++ {
		// A few events are requested from the leader. Many are first read in
		// bulk from any replica; a stale replica returns fewer events, never
		// different ones.
		if n == bulkAfter || v.Sequence == 0 && n == 0 {
			for e, err := range s.log.Recorded(ctx, eventlog.Filter{Pipeline: pipeline, From: v.Sequence + 1}) {
				if err != nil {
					return View{}, err
				}
				v, more = v.after(e), e.More
			}
		}
		e, ok, err := s.log.Next(ctx, pipeline, v.Sequence+1)
		if err != nil {
			return View{}, err
		}
		if ok {
			v, more, waited = v.after(e), e.More, 0
			continue
		}
		if more == 0 {
			return v, nil
		}
		// A commit is being written: its remaining events follow at once.
		if waited >= maxCommitWait {
			s.logger.WarnContext(ctx, "a commit of the event log is not complete; its events are read as they are", "pipeline", pipeline, "sequence", v.Sequence, "missing", more)
			return v, nil
		}
		select {
		case <-ctx.Done():
			return View{}, context.Cause(ctx)
		case <-time.After(commitPoll):
			waited += commitPoll
		}
	}
}

// maxCommitWait is how long a fold waits for the remaining events of a commit that it has read in part. The server stores
// a commit in one step, so only a forged one is still incomplete after that.
const (
	maxCommitWait = time.Second
	commitPoll    = 2 * time.Millisecond
)

// after returns the view after one more record. An unreadable record changes no state, but a guard has to count it, since
// the server does.
func (v View) after(e eventlog.Recorded) View {
	next := View{Pipeline: v.Pipeline, Sequence: e.Sequence, guards: v.guards}
	noun := eventlog.NounAt(e.Place)
	if e.Unreadable == "" {
		next.Pipeline = Apply(v.Pipeline, e.Envelope)
	}
	for _, g := range eventlog.GuardedNouns {
		if g == noun {
			next.guards = make(map[string]uint64, len(v.guards)+1)
			maps.Copy(next.guards, v.guards)
			next.guards[noun] = e.Sequence
		}
	}
	return next
}

// errStale means that a cached fold does not belong to this log.
var errStale = errors.New("the cached state is of another log")
