package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// options say how much is killed, and how.
type options struct {
	kills    int
	round    int
	parallel int
	seed     uint64
	without  string
	dir      string
	keep     bool
	// patient is how long an instance may take to come to rest.
	patient time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.kills, "n", 1000, "kills")
	flag.IntVar(&o.round, "round", 100, "kills between two examinations")
	flag.IntVar(&o.parallel, "parallel", 2, "instances at a time")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of what happens")
	flag.StringVar(&o.without, "without", "", "a promise to break: guard, record or ack-last")
	flag.StringVar(&o.dir, "dir", "", "folder to work in; a temporary one by default")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder in any case")
	flag.DurationVar(&o.patient, "patience", 3*time.Minute, "how long it may take until nothing is under way")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	found, err := crashTest(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crashtest: error:", err)
	}
	if err != nil || len(found.Violations) > 0 {
		os.Exit(1)
	}
}

// crashTest builds the program, kills it, and prints what it found. The folder
// stays if something was found.
func crashTest(ctx context.Context, o options, out io.Writer) (_ checker.Report, err error) {
	began := time.Now()
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "millrace-crashtest-"); err != nil {
			return checker.Report{}, err
		}
	}
	bin := filepath.Join(o.dir, "bin")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		return checker.Report{}, err
	}
	tree, err := root()
	if err != nil {
		return checker.Report{}, err
	}
	p, err := build(ctx, tree, bin)
	if err != nil {
		return checker.Report{}, err
	}
	fmt.Fprintf(out, "seed %d, in %s; built after %s\n", o.seed, o.dir, time.Since(began).Round(time.Second))
	began = time.Now()
	t := newTally()
	found, err := runAll(ctx, o, p, t, out)
	if err == nil && len(found.Violations) == 0 {
		found.Violations = t.spared(o.kills / 50)
	}
	found.print(out, t, time.Since(began))
	switch {
	case err != nil || len(found.Violations) > 0:
		fmt.Fprintf(out, "seed %d; the folder is kept: %s\n", o.seed, o.dir)
	case !o.keep:
		err = os.RemoveAll(o.dir)
	}
	return found.Report, err
}

// runAll runs several instances until there were enough kills, or something
// was found.
func runAll(ctx context.Context, o options, p program, t *tally, out io.Writer) (total, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu   sync.Mutex
		all  total
		errs []error
		live sync.WaitGroup
	)
	for i := range o.parallel {
		live.Go(func() {
			report, err := runOne(ctx, o, p, t, i, func(r checker.Report) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintf(out, "instance %d: %d kills in all, %d events, %d violations\n", i, t.total(), r.Events, len(r.Violations))
			})
			mu.Lock()
			defer mu.Unlock()
			all.add(report)
			if err != nil || len(report.Violations) > 0 {
				cancel()
			}
			if err != nil && (!errors.Is(err, context.Canceled) || len(errs) == 0 && len(all.Violations) == 0) {
				errs = append(errs, fmt.Errorf("instance %d: %w", i, err))
			}
		})
	}
	live.Wait()
	return all, errors.Join(errs...)
}

func runOne(ctx context.Context, o options, p program, t *tally, i int, tell func(checker.Report)) (report checker.Report, err error) {
	in, err := newInstance(filepath.Join(o.dir, fmt.Sprint(i)), p, o.seed+uint64(i), t, o)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, in.bucket.close()) }()
	mine := o.kills / o.parallel
	if i == 0 {
		mine += o.kills % o.parallel
	}
	for mine > 0 && len(report.Violations) == 0 {
		n := min(o.round, mine)
		mine -= n
		if report, err = in.round(ctx, n); err != nil {
			return report, err
		}
		tell(report)
	}
	return report, nil
}
