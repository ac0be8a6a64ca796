package inference

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/predictionlog"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// followed are the pipelines that are kept up to date, each by a goroutine of
// its own, so that a slowly loading model does not delay the others.
type followed struct {
	mu        sync.Mutex
	pipelines map[string]*follower
}

// follower updates one pipeline's part of the routing to the state.
type follower struct {
	f    *F
	name string
	wake chan struct{}
	log  *predictionlog.Log
	// mirrorLog is of mirrored requests.
	mirrorLog *predictionlog.Log
	// settled is closed when the pipeline's first route is served, or when it has no route.
	settled chan struct{}
	// serving are the versions the routing holds for this pipeline.
	serving []*version
	said    string // the route that was logged last
	limiter *limiter
}

const (
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// follow keeps the routing up to date until ctx ends.
func (f *F) follow(ctx context.Context) {
	from, known := uint64(0), false
	for pause := firstRetry; ctx.Err() == nil; {
		var err error
		if !known {
			from, err = f.begin(ctx)
			known = err == nil
		}
		if err == nil {
			pause = firstRetry
			from, err = f.observe(ctx, from)
		}
		if ctx.Err() != nil {
			return
		}
		f.deps.Logger.ErrorContext(ctx, "the log cannot be followed; routes stay as they are until it can", "error", err, "after", pause)
		wait(ctx, pause)
		pause = min(2*pause, maxRetry)
	}
}

// begin starts a follower for every pipeline, and returns the sequence from which the log is followed.
func (f *F) begin(ctx context.Context) (uint64, error) {
	last, err := f.deps.Log.Last(ctx)
	if err != nil {
		return 0, err
	}
	names, err := f.deps.Log.Pipelines(ctx)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		f.changed(ctx, name)
	}
	close(f.listed)
	return last + 1, nil
}

// observe wakes the follower of each pipeline whose route may have changed.
func (f *F) observe(ctx context.Context, from uint64) (uint64, error) {
	for e, err := range f.deps.Log.Follow(ctx, eventlog.Filter{From: from}) {
		if err != nil {
			return from, err
		}
		from = e.Sequence + 1
		if e.Pipeline != events.NoPipeline && moves(e.Type) {
			f.changed(ctx, e.Pipeline)
		}
	}
	return from, fmt.Errorf("the event log ended at %d", from)
}

// moves reports whether an event of the type can change which versions are or may be served.
func moves(eventType string) bool {
	switch noun, past := events.Words(eventType); noun {
	case "pipeline", "rollout", "model":
		return true
	case "training":
		return past == "completed"
	}
	return false
}

// changed wakes the pipeline's follower, and starts it if necessary.
func (f *F) changed(ctx context.Context, name string) {
	if f.cfg.Pipeline != "" && name != f.cfg.Pipeline {
		return
	}
	f.followed.mu.Lock()
	defer f.followed.mu.Unlock()
	p := f.followed.pipelines[name]
	if p == nil {
		p = &follower{f: f, name: name, wake: make(chan struct{}, 1), settled: make(chan struct{}), log: f.log.NewLog(name, false), mirrorLog: f.log.NewLog(name, true)}
		f.followed.pipelines[name] = p
		f.tasks.Go(func() { p.run(ctx) })
	}
	select {
	case p.wake <- struct{}{}:
	default: // it will check anyway
	}
}

func (p *follower) run(ctx context.Context) {
	pause := firstRetry
	settled := sync.OnceFunc(func() { close(p.settled); p.f.started(); p.f.routeChanged.signal() })
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-again:
		}
		err := p.update(ctx)
		if err == nil {
			pause, again = firstRetry, nil
			settled()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		p.f.metrics.stale(p.name, true)
		p.f.deps.Logger.ErrorContext(ctx, "the route cannot be served as it should be; the former one stays", "pipeline", p.name, "error", err, "after", pause)
		again = time.After(pause)
		pause = min(2*pause, maxRetry)
	}
}

// update updates the routing to the state. Every version is loaded,
// checked and warm before the routing points to it. With a version that cannot
// be loaded the former route stays; without one, the versions that can be loaded serve.
func (p *follower) update(ctx context.Context) error {
	st, err := p.f.deps.States.Load(ctx, p.name)
	if err != nil {
		return err
	}
	if st.Config == nil {
		return nil
	}
	st, err = p.f.narrowed(st)
	if err != nil {
		return err
	}
	p.log.SetCanary(st.Rollout != nil)
	next := &served{
		name: p.name, state: st, log: p.log, metrics: p.f.metrics.model(p.name), sample: st.Config.Spec.Serve.Log.Sample,
		limits:           codec.Limits{MaxRows: p.f.cfg.MaxRows, Ignores: ignoresOf(st.Config)},
		undefinedIsError: st.Config.Spec.Serve.OnNaN == config.OnNaNError,
		limiter:          p.limits(st.Config.Spec.Serve),
		mirrorLog:        p.mirrorLog, mirrorPercent: st.Config.Spec.Serve.Mirror.Percent,
	}
	loaded, failed := p.loadRoute(ctx, st)
	switch {
	case failed != nil && len(p.serving) > 0:
		releaseAll(values(loaded))
		// The versions that may be requested can have changed all the same.
		if old := p.f.routing.Load().models[p.name]; old != nil {
			next.shares, next.mirror = old.shares, old.mirror
			p.f.publish(next)
		}
		return failed
	case len(st.Route.Weights) == 0:
		next.reason = unserved(st)
	default:
		next.shares = sharesOf(st.Route, loaded)
		if len(next.shares) == 0 {
			next.reason = fmt.Sprintf("%s cannot be served: %v", p.name, failed)
		}
	}
	p.loadMirror(ctx, next, loaded)
	for _, v := range loaded {
		v.configureBatching(st.Config.Spec.Serve.Batch)
	}
	p.f.publish(next)
	routed := map[int]bool{}
	for number := range loaded {
		routed[number] = true
	}
	p.f.versions.route(p.name, routed)
	releaseAll(p.serving)
	p.serving = values(loaded)
	p.f.metrics.stale(p.name, failed != nil)
	if shares := next.describe(); failed == nil && shares != p.said {
		p.f.deps.Logger.InfoContext(ctx, "route", "pipeline", p.name, "shares", shares)
		p.said = shares
	}
	return failed
}

// limits returns the limiter of the pipeline's requests, a new one if its limits have changed.
func (p *follower) limits(s config.Serve) *limiter {
	if l := p.f.limitsOf(s); p.limiter == nil || p.limiter.limits != l {
		p.limiter = newLimiter(p.name, l)
	}
	return p.limiter
}

// narrowed returns the state with only the version that this process serves in
// the route, if it serves only one. The version keeps its part: a canary's
// answers are a canary's.
func (f *F) narrowed(st *state.Pipeline) (*state.Pipeline, error) {
	version := f.cfg.Version
	if version == 0 {
		return st, nil
	}
	if st.Model(version) == nil {
		return nil, fmt.Errorf("%s has no version %d yet", st.Name, version)
	}
	only := *st
	only.Route.Weights = []events.Weight{{Version: version, Percent: 100}}
	return &only, nil
}

// loadRoute returns the versions of the route, each acquired, and the errors.
func (p *follower) loadRoute(ctx context.Context, st *state.Pipeline) (map[int]*version, error) {
	loaded := map[int]*version{}
	var failed error
	for _, w := range st.Route.Weights {
		if w.Percent == 0 && w.Version != st.Route.Champion {
			continue
		}
		key := versionKey{p.name, w.Version}
		p.f.versions.retry(key)
		v, err := p.f.version(ctx, st, w.Version)
		if err != nil {
			p.f.metrics.loadFailed(p.name)
			if failed == nil {
				failed = err
			}
			continue
		}
		loaded[w.Version] = v
	}
	return loaded, failed
}

// loadMirror loads the version that mirrored requests are for into loaded.
// Without it the route is served all the same.
func (p *follower) loadMirror(ctx context.Context, next *served, loaded map[int]*version) {
	number := candidate(next.state)
	if next.mirrorPercent == 0 || number == 0 || len(next.shares) == 0 {
		return
	}
	v, err := p.f.version(ctx, next.state, number)
	if err != nil {
		p.f.metrics.loadFailed(p.name)
		p.f.deps.Logger.WarnContext(ctx, "requests are not mirrored: the candidate cannot be loaded", "pipeline", p.name, "version", number, "error", err)
		return
	}
	next.mirror, loaded[number] = v, v
}

// version returns a loaded version, acquired for the caller. If necessary it is
// loaded, once for all concurrent callers, and therefore not within ctx.
func (f *F) version(ctx context.Context, st *state.Pipeline, number int) (*version, error) {
	return f.versions.get(ctx, versionKey{st.Name, number}, func() (*version, error) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(f.life, f.cfg.LoadTimeout)
		defer cancel()
		v, err := f.load(ctx, st, number)
		if err == nil {
			f.metrics.loadSeconds.Observe(time.Since(began).Seconds())
			f.deps.Logger.InfoContext(ctx, "version loaded", "pipeline", st.Name, "version", number, "took", time.Since(began))
		}
		return v, err
	})
}

// publish makes the pipeline's part of the routing.
func (f *F) publish(s *served) {
	f.routingMu.Lock()
	defer f.routingMu.Unlock()
	f.routing.Store(f.routing.Load().with(s))
	f.routeChanged.signal()
}

// describe writes the shares for the log.
func (s *served) describe() string {
	if len(s.shares) == 0 {
		return s.reason
	}
	var parts []string
	before := uint64(0)
	for _, sh := range s.shares {
		parts = append(parts, fmt.Sprintf("v%d %g %%", sh.version.number, float64(sh.upTo-before)/10))
		before = sh.upTo
	}
	return strings.Join(parts, ", ")
}

func values(m map[int]*version) []*version {
	var all []*version
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// wait pauses for the duration or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
