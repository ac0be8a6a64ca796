package inference

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

// followed are the pipelines that are kept up to date, each by a goroutine of
// its own, so that one whose model loads slowly holds up no other.
type followed struct {
	mu        sync.Mutex
	pipelines map[string]*follower
}

// follower brings one pipeline's part of the routing to what the state says.
type follower struct {
	f    *F
	name string
	wake chan struct{}
	log  *predictionLog
	// mirrorLog is of mirrored requests.
	mirrorLog *predictionLog
	// settled is closed when the pipeline's first route is served, or there is none.
	settled chan struct{}
	// serving are the versions the routing holds for this pipeline.
	serving []*version
	said    string // what was logged of the route
}

const (
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// follow keeps the routing up to date until ctx ends.
func (f *F) follow(ctx context.Context) {
	defer f.tasks.Done()
	from, known := uint64(0), false
	for pause := firstRetry; ctx.Err() == nil; {
		var err error
		if !known {
			from, err = f.begin(ctx)
			known = err == nil
		}
		if err == nil {
			pause = firstRetry
			from, err = f.hear(ctx, from)
		}
		if ctx.Err() != nil {
			return
		}
		f.deps.Logger.ErrorContext(ctx, "the log cannot be followed; routes stay as they are until it can", "error", err, "after", pause)
		wait(ctx, pause)
		pause = min(2*pause, maxRetry)
	}
}

// begin takes up every pipeline there is, and says from where the log is heard.
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

// hear wakes the follower of each pipeline whose route may have changed.
func (f *F) hear(ctx context.Context, from uint64) (uint64, error) {
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

// moves says whether an event of the type can change what is served or may be.
func moves(eventType string) bool {
	switch noun, past := events.Words(eventType); noun {
	case "pipeline", "rollout", "model":
		return true
	case "training":
		return past == "completed"
	}
	return false
}

// changed wakes the pipeline's follower, which is started when there is none.
func (f *F) changed(ctx context.Context, name string) {
	if f.cfg.Pipeline != "" && name != f.cfg.Pipeline {
		return
	}
	f.followed.mu.Lock()
	defer f.followed.mu.Unlock()
	p := f.followed.pipelines[name]
	if p == nil {
		p = &follower{f: f, name: name, wake: make(chan struct{}, 1), settled: make(chan struct{}), log: f.newLog(name, false), mirrorLog: f.newLog(name, true)}
		f.followed.pipelines[name] = p
		f.tasks.Add(1)
		go p.run(ctx)
	}
	select {
	case p.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (p *follower) run(ctx context.Context) {
	defer p.f.tasks.Done()
	pause := firstRetry
	settled := sync.OnceFunc(func() { close(p.settled); p.f.started(); p.f.routes.tell() })
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
		p.f.meters.stale(p.name, true)
		p.f.deps.Logger.ErrorContext(ctx, "the route cannot be served as it should be; the former one stays", "pipeline", p.name, "error", err, "after", pause)
		again = time.After(pause)
		pause = min(2*pause, maxRetry)
	}
}

// update makes the routing say what the state says. Every version is loaded,
// checked and warm before the routing points to it. With a version that cannot
// be loaded the former route stays; if there is none, those serve that can.
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
	p.log.setCanary(st.Rollout != nil)
	next := &served{
		name: p.name, state: st, log: p.log, meters: p.f.meters.model(p.name), sample: st.Config.Spec.Serve.Log.Sample,
		mirrorLog: p.mirrorLog, mirrorPercent: st.Config.Spec.Serve.Mirror.Percent,
	}
	loaded, failed := p.loadRoute(ctx, st)
	switch {
	case failed != nil && len(p.serving) > 0:
		releaseAll(values(loaded))
		// What may be asked for by version can have changed all the same.
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
		v.puts(st.Config.Spec.Serve.Batch)
	}
	p.f.publish(next)
	routed := map[int]bool{}
	for number := range loaded {
		routed[number] = true
	}
	p.f.shelf.route(p.name, routed)
	releaseAll(p.serving)
	p.serving = values(loaded)
	p.f.meters.stale(p.name, failed != nil)
	if shares := next.describe(); failed == nil && shares != p.said {
		p.f.deps.Logger.InfoContext(ctx, "route", "pipeline", p.name, "shares", shares)
		p.said = shares
	}
	return failed
}

// narrowed is the state with the one version that this process serves in the
// place of the route, if it serves one. The version keeps its part: a canary's
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

// loadRoute gives the versions of the route, each held, and what went wrong.
func (p *follower) loadRoute(ctx context.Context, st *state.Pipeline) (map[int]*version, error) {
	loaded := map[int]*version{}
	var failed error
	for _, w := range st.Route.Weights {
		if w.Percent == 0 && w.Version != st.Route.Champion {
			continue
		}
		key := shelfKey{p.name, w.Version}
		p.f.shelf.forget(key)
		v, err := p.f.version(ctx, st, w.Version)
		if err != nil {
			p.f.meters.loadFailed(p.name)
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
		p.f.meters.loadFailed(p.name)
		p.f.deps.Logger.WarnContext(ctx, "requests are not mirrored: the candidate cannot be loaded", "pipeline", p.name, "version", number, "error", err)
		return
	}
	next.mirror, loaded[number] = v, v
}

// version gives a loaded version, held for the caller. It is loaded if it is
// not, for whoever else asks too, and therefore not within ctx.
func (f *F) version(ctx context.Context, st *state.Pipeline, number int) (*version, error) {
	return f.shelf.get(ctx, shelfKey{st.Name, number}, func() (*version, error) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(f.life, f.cfg.LoadTimeout)
		defer cancel()
		v, err := f.load(ctx, st, number)
		if err == nil {
			f.meters.loadSeconds.Observe(time.Since(began).Seconds())
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
	f.routes.tell()
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

// wait pauses, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
