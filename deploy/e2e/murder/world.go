package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/deploy/e2e/murder/checker"
)

// world is one Millrace, with all that comes in to it and all that is
// remembered of that.
type world struct {
	dir     string
	program program
	rng     *rand.Rand
	seed    uint64
	env     []string
	lives   int
	tally   *tally
	patient time.Duration
	tumours tumours
	landing *landing
	client  *http.Client
	// address is where it answers now, "" while it does not.
	address atomic.Pointer[string]

	mu       sync.Mutex
	promised []string
	good     map[string]bool
	served   []checker.Served
	sent     [][]byte // events, to be sent again
	asked    []string // ids of predictions, for labels
	bytes    map[string][]byte
}

// home is Millrace's own folder.
func (w *world) home() string      { return filepath.Join(w.dir, "millrace") }
func (w *world) pipelines() string { return filepath.Join(w.dir, "pipelines") }
func (w *world) trainers() string  { return filepath.Join(w.dir, "trainers") }

// scratch is where programs put temporary files.
func (w *world) scratch() string { return filepath.Join(w.dir, "tmp") }

func newWorld(dir string, p program, seed uint64, t *tally, patient time.Duration) (*world, error) {
	w := &world{
		dir: dir, program: p, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), tally: t, patient: patient, //nolint:gosec // a seed makes it happen again
		good: map[string]bool{}, bytes: map[string][]byte{},
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
	w.address.Store(new(string))
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "lives"), 0o750), os.MkdirAll(w.scratch(), 0o750), writePipelines(w.pipelines(), p.data, w.trainers())); err != nil {
		return nil, err
	}
	var err error
	if w.tumours, err = readTumours(filepath.Join(p.data, "tumours.parquet")); err != nil {
		return nil, err
	}
	if w.landing, err = newLanding(); err != nil {
		return nil, err
	}
	w.env = []string{
		"MILLRACE_RUNNER=" + p.runner, "TMPDIR=" + w.scratch(),
		"MILLRACE_BUCKET_OPTIONS=region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape(w.landing.address),
		"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true",
		"MILLRACE_INFERENCE_LOG_EVERY=300ms", "MILLRACE_INFERENCE_LOG_EVERY_CANARY=100ms", "MILLRACE_INGEST_LABELS_WAIT=1s",
		"MILLRACE_TRAIN_BACKOFF=100ms", "MILLRACE_TRAIN_SWEEP=1s", "MILLRACE_TRAIN_POLL=50ms",
	}
	if os.Getenv("MILLRACE_ONNXRUNTIME") == "" {
		w.env = append(w.env, "LD_LIBRARY_PATH="+p.lib)
	}
	return w, nil
}

// round lets the world live through so many kills, brings it to rest, and has
// it examined. The report's violations are of the whole log up to now.
func (w *world) round(ctx context.Context, kills int) (checker.Report, error) {
	loaded, stopLoad := context.WithCancel(ctx)
	var senders sync.WaitGroup
	for i := range 3 {
		rng := rand.New(rand.NewPCG(w.seed, uint64(1000*w.lives+i))) //nolint:gosec // see above
		senders.Go(func() { w.load(loaded, rng) })
	}
	for end := w.tally.mine(w) + kills; w.tally.mine(w) < end && ctx.Err() == nil; {
		if err := w.life(ctx); err != nil {
			stopLoad()
			senders.Wait()
			return checker.Report{}, err
		}
	}
	stopLoad()
	senders.Wait()
	if ctx.Err() != nil {
		return checker.Report{}, ctx.Err()
	}
	return w.rest(ctx)
}

// life starts Millrace and sees to it that it, or its runner, is killed.
func (w *world) life(ctx context.Context) error {
	armed, at := "", point{name: random}
	limit := time.Duration(w.rng.Int64N(int64(1200 * time.Millisecond)))
	if w.rng.IntN(4) > 0 {
		var count int
		at, count = w.tally.next(w.rng)
		armed, limit = fmt.Sprintf("%s:%d", at.name, count), 3*time.Second
	}
	p, err := w.start(armed)
	if err != nil {
		return err
	}
	defer p.kill()
	defer w.address.Store(new(string))
	end := time.After(limit)
	addressed, ran := false, false
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if !addressed {
			if m := p.address(); m != "" {
				addressed = true
				w.address.Store(&m)
				go w.sample(ctx, m)
			}
		}
		select {
		case <-p.ended:
			if !p.killed() {
				return fmt.Errorf("millrace ended by itself with %w, life %d:\n%s", p.err, w.lives, p.tail())
			}
			if p.marked() && !ran {
				w.tally.add(w, at.name)
			} else {
				w.tally.add(w, random)
			}
			return nil
		case <-end:
			p.kill()
			if p.marked() && !ran {
				w.tally.add(w, at.name)
				return nil
			}
			w.tally.add(w, random)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if at.runner && !ran && p.marked() {
			// Millrace lives on without its runner for a while.
			ran = true
			w.tally.add(w, at.name)
			end = time.After(time.Duration(w.rng.Int64N(int64(time.Second))))
		}
	}
}

// rest lets everything that is under way come to its end, stops Millrace as one
// should, and examines what it leaves.
func (w *world) rest(ctx context.Context) (report checker.Report, err error) {
	p, err := w.start("")
	if err != nil {
		return report, err
	}
	defer p.kill()
	defer w.address.Store(new(string))
	address, err := p.up(ctx)
	if err != nil || address == "" {
		return report, errors.Join(err, fmt.Errorf("millrace does not start, life %d:\n%s", w.lives, p.tail()))
	}
	w.address.Store(&address)
	open, err := w.settle(ctx, address)
	if err != nil {
		return report, fmt.Errorf("come to rest, life %d: %w", w.lives, err)
	}
	if err := p.stop(); err != nil {
		return report, err
	}
	if report, err = w.examine(ctx); err != nil {
		return report, err
	}
	if len(open) > 0 {
		report.Violations = append(report.Violations, checker.Violation{
			Rule: "everything comes to its end", What: fmt.Sprintf("%d things were open after %s, such as %s", len(open), w.patient, strings.Join(open[:min(5, len(open))], "; ")),
		})
	}
	return report, nil
}

// maxRefused bounds how often mail that is not taken is sent again.
const maxRefused = 10

// settle waits until everybody has answered everything, delivers the mail that
// is left, and asks for states of now and of the past. It gives what is still
// open when its patience is over.
func (w *world) settle(ctx context.Context, address string) (open []string, err error) {
	for m, refused := w.landing.next(w.rng), 0; m != nil; m = w.landing.next(w.rng) {
		if err := w.deliver(ctx, m); err != nil {
			if refused++; refused > maxRefused {
				return nil, err
			}
		}
	}
	ledger, err := checker.NewLedger()
	if err != nil {
		return nil, err
	}
	over, since, before := time.After(w.patient), time.Now(), uint64(0)
	for {
		last, err := ledger.Follow(ctx, w.client, address)
		if err != nil {
			return nil, err
		}
		open = ledger.Open()
		if last != before || len(open) > 0 {
			before, since = last, time.Now()
		}
		if time.Since(since) > time.Second {
			break
		}
		select {
		case <-over:
			return open, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	w.sample(ctx, address)
	for range 10 {
		if err := w.past(ctx, address, 1+w.rng.Uint64N(before)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// examine has the checker look at what a stopped Millrace has left.
func (w *world) examine(ctx context.Context) (checker.Report, error) {
	orphans, err := checker.Orphans(w.home())
	if err != nil {
		return checker.Report{}, err
	}
	log, err := checker.Open(ctx, filepath.Join(w.home(), "log"))
	if err != nil {
		return checker.Report{}, err
	}
	defer log.Close()
	w.mu.Lock()
	x := checker.Expected{Quiet: true, Promised: slices.Clone(w.promised), Good: maps.Clone(w.good), Served: slices.Clone(w.served), Objects: w.landing.contents()}
	w.mu.Unlock()
	report, err := checker.Check(log.Events, x)
	if err != nil {
		return report, err
	}
	left, err := checker.Left(w.home(), log.Events)
	if err != nil {
		return report, err
	}
	manifests, err := checker.Manifests(w.home(), log.Events)
	if err != nil {
		return report, err
	}
	again, err := log.Again(ctx)
	if err != nil {
		return report, err
	}
	scratch, err := os.ReadDir(w.scratch())
	if err != nil {
		return report, err
	}
	for _, e := range scratch {
		left = append(left, checker.Violation{Rule: "nothing unfinished remains", What: e.Name() + " in TMPDIR"})
	}
	clashes, err := os.ReadFile(filepath.Join(w.trainers(), "clashes"))
	if err == nil {
		left = append(left, checker.Violation{Rule: "one trainer a run at a time", What: "two were at work on " + strings.ReplaceAll(string(clashes), "\n", " ")})
	}
	report.Violations = slices.Concat(report.Violations, orphans, left, manifests, again)
	return report, nil
}
