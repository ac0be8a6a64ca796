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

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// instance is one Millrace under test, with a record of everything sent to it.
type instance struct {
	dir     string
	program program
	rng     *rand.Rand
	seed    uint64
	env     []string
	starts  int
	tally   *tally
	patient time.Duration
	tumours tumours
	bucket  *bucket
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
func (in *instance) home() string      { return filepath.Join(in.dir, "millrace") }
func (in *instance) pipelines() string { return filepath.Join(in.dir, "pipelines") }
func (in *instance) trainers() string  { return filepath.Join(in.dir, "trainers") }

// scratch is where programs put temporary files.
func (in *instance) scratch() string { return filepath.Join(in.dir, "tmp") }

func newInstance(dir string, p program, seed uint64, t *tally, o options) (*instance, error) {
	in := &instance{
		dir: dir, program: p, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), tally: t, patient: o.patient, //nolint:gosec // a seed makes it happen again
		good: map[string]bool{}, bytes: map[string][]byte{},
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
	in.address.Store(new(string))
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "starts"), 0o750), os.MkdirAll(in.scratch(), 0o750), writePipelines(in.pipelines(), p.data, in.trainers())); err != nil {
		return nil, err
	}
	var err error
	if in.tumours, err = readTumours(filepath.Join(p.data, "tumours.parquet")); err != nil {
		return nil, err
	}
	if in.bucket, err = newBucket(); err != nil {
		return nil, err
	}
	in.env = []string{
		"MILLRACE_RUNNER=" + p.runner, "TMPDIR=" + in.scratch(),
		"MILLRACE_BUCKET_OPTIONS=region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape(in.bucket.address),
		"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true",
		"MILLRACE_INFERENCE_LOG_EVERY=300ms", "MILLRACE_INFERENCE_LOG_EVERY_CANARY=100ms", "MILLRACE_INGEST_LABELS_WAIT=1s",
		"MILLRACE_TRAIN_BACKOFF=100ms", "MILLRACE_TRAIN_SWEEP=1s", "MILLRACE_TRAIN_POLL=50ms",
	}
	if o.without != "" {
		in.env = append(in.env, "MILLRACE_FAILPOINT_WITHOUT="+o.without)
	}
	if os.Getenv("MILLRACE_ONNXRUNTIME") == "" {
		in.env = append(in.env, "LD_LIBRARY_PATH="+p.lib)
	}
	return in, nil
}

// round kills the instance so many times, waits until nothing is under way, and
// examines it. The report's violations are of the whole log up to now.
func (in *instance) round(ctx context.Context, kills int) (checker.Report, error) {
	loaded, stopLoad := context.WithCancel(ctx)
	var senders sync.WaitGroup
	for i := range 3 {
		rng := rand.New(rand.NewPCG(in.seed, uint64(1000*in.starts+i))) //nolint:gosec // see above
		senders.Go(func() { in.load(loaded, rng) })
	}
	for end := in.tally.mine(in) + kills; in.tally.mine(in) < end && ctx.Err() == nil; {
		if err := in.run(ctx); err != nil {
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
	return in.rest(ctx)
}

// run starts Millrace and makes sure that it, or its runner, is killed.
func (in *instance) run(ctx context.Context) error {
	armed, at := "", point{name: random}
	limit := time.Duration(in.rng.Int64N(int64(1200 * time.Millisecond)))
	if in.rng.IntN(4) > 0 {
		var count int
		at, count = in.tally.next(in.rng)
		armed, limit = fmt.Sprintf("%s:%d", at.name, count), 3*time.Second
	}
	p, err := in.start(armed)
	if err != nil {
		return err
	}
	defer p.kill()
	defer in.address.Store(new(string))
	end := time.After(limit)
	addressed, ran := false, false
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if !addressed {
			if m := p.address(); m != "" {
				addressed = true
				in.address.Store(&m)
				go in.sample(ctx, m)
			}
		}
		select {
		case <-p.ended:
			if !p.killed() {
				return fmt.Errorf("millrace ended by itself with %w, start %d:\n%s", p.err, in.starts, p.tail())
			}
			if p.marked() && !ran {
				in.tally.add(in, at.name)
			} else {
				in.tally.add(in, random)
			}
			return nil
		case <-end:
			p.kill()
			if p.marked() && !ran {
				in.tally.add(in, at.name)
				return nil
			}
			in.tally.add(in, random)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if at.runner && !ran && p.marked() {
			// Millrace runs on without its runner for a while.
			ran = true
			in.tally.add(in, at.name)
			end = time.After(time.Duration(in.rng.Int64N(int64(time.Second))))
		}
	}
}

// rest waits until nothing is under way, stops Millrace by SIGTERM, and examines
// what it leaves.
func (in *instance) rest(ctx context.Context) (report checker.Report, err error) {
	p, err := in.start("")
	if err != nil {
		return report, err
	}
	defer p.kill()
	defer in.address.Store(new(string))
	address, err := p.up(ctx)
	if err != nil || address == "" {
		return report, errors.Join(err, fmt.Errorf("millrace does not start, start %d:\n%s", in.starts, p.tail()))
	}
	in.address.Store(&address)
	open, err := in.settle(ctx, address)
	if err != nil {
		return report, fmt.Errorf("wait until nothing is under way, start %d: %w", in.starts, err)
	}
	if err := p.stop(); err != nil {
		return report, err
	}
	if report, err = in.examine(ctx); err != nil {
		return report, err
	}
	if len(open) > 0 {
		report.Violations = append(report.Violations, checker.Violation{
			Rule: "everything comes to its end", What: fmt.Sprintf("%d things were open after %s, such as %s", len(open), in.patient, strings.Join(open[:min(5, len(open))], "; ")),
		})
	}
	return report, nil
}

// maxRefused bounds how often notifications that are not accepted are sent
// again.
const maxRefused = 10

// settle delivers the pending notifications, waits until every event is
// handled, and samples present and past states. It returns what is still open
// when in.patient is over.
func (in *instance) settle(ctx context.Context, address string) (open []string, err error) {
	for m, refused := in.bucket.next(in.rng), 0; m != nil; m = in.bucket.next(in.rng) {
		if err := in.deliver(ctx, m); err != nil {
			if refused++; refused > maxRefused {
				return nil, err
			}
		}
	}
	ledger, err := checker.NewLedger()
	if err != nil {
		return nil, err
	}
	over, since, before := time.After(in.patient), time.Now(), uint64(0)
	for {
		last, err := ledger.Follow(ctx, in.client, address)
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
	in.sample(ctx, address)
	for range 10 {
		if err := in.past(ctx, address, 1+in.rng.Uint64N(before)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// examine has the checker look at what a stopped Millrace has left.
func (in *instance) examine(ctx context.Context) (checker.Report, error) {
	orphans, err := checker.Orphans(in.home())
	if err != nil {
		return checker.Report{}, err
	}
	log, err := checker.Open(ctx, filepath.Join(in.home(), "log"))
	if err != nil {
		return checker.Report{}, err
	}
	defer log.Close()
	in.mu.Lock()
	x := checker.Expected{Quiet: true, Promised: slices.Clone(in.promised), Good: maps.Clone(in.good), Served: slices.Clone(in.served), Objects: in.bucket.contents()}
	in.mu.Unlock()
	report, err := checker.Check(log.Events, x)
	if err != nil {
		return report, err
	}
	left, err := checker.Left(in.home(), log.Events)
	if err != nil {
		return report, err
	}
	manifests, err := checker.Manifests(in.home(), log.Events)
	if err != nil {
		return report, err
	}
	again, err := log.Again(ctx)
	if err != nil {
		return report, err
	}
	scratch, err := os.ReadDir(in.scratch())
	if err != nil {
		return report, err
	}
	for _, e := range scratch {
		left = append(left, checker.Violation{Rule: "nothing unfinished remains", What: e.Name() + " in TMPDIR"})
	}
	clashes, err := os.ReadFile(filepath.Join(in.trainers(), "clashes"))
	if err == nil {
		left = append(left, checker.Violation{Rule: "one trainer a run at a time", What: "two trainers ran at once for " + strings.ReplaceAll(string(clashes), "\n", " ")})
	}
	report.Violations = slices.Concat(report.Violations, orphans, left, manifests, again)
	return report, nil
}
