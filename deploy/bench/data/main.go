// Command data measures what it costs to read an upload, each run in a process
// of its own: CPU time (user and system), wall time and the greatest resident
// memory, as the kernel counts them for that process. The peers read the same
// file in the same run, with the types of the columns given, and write Parquet.
//
//	go run ./deploy/bench/data -peers               # 5 million rows as CSV, JSON lines and Parquet
//	go run ./deploy/bench/data -wide                # 5,000 columns of 1,000 rows
//
// The peers need a Python that has duckdb and polars (-python). Their figures
// include the start of Python and its imports, as ours include the start of the
// process. Ratios are to the peer that takes the least CPU time.
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

	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

func main() {
	var b bench
	read := flag.String("read", "", "used by the benchmark for its own processes: read this file")
	make := flag.String("make", "", "used by the benchmark for its own processes: write this file")
	flag.StringVar(&b.python, "python", "python3", "a Python that has duckdb and polars")
	flag.BoolVar(&b.peers, "peers", false, "measure DuckDB and polars too")
	flag.BoolVar(&b.wide, "wide", false, "5,000 columns of 1,000 rows")
	flag.IntVar(&b.rows, "rows", 5_000_000, "rows of the tall table")
	flag.IntVar(&b.runs, "runs", 3, "how often each figure is taken; the median is shown")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *read != "":
		err = b.read(ctx, *read)
	case *make != "":
		err = b.write(*make)
	default:
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// bench is the benchmark as a whole.
type bench struct {
	python      string
	peers, wide bool
	rows, runs  int
}

// formats are the extensions of the files that are read.
var formats = []string{".csv", ".jsonl", ".parquet"}

func (b *bench) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bench-data-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	shape := []string{fmt.Sprintf("-wide=%t", b.wide), fmt.Sprint("-rows=", b.rows)}
	for _, format := range formats {
		file := filepath.Join(dir, "data"+format)
		if out, err := exec.CommandContext(ctx, self, append(shape, "-make", file)...).CombinedOutput(); err != nil {
			return fmt.Errorf("write %s: %w: %s", file, err, out)
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s, %s\n", format, source.Size(info.Size()))
		ours, err := b.measure(ctx, self, append(shape, "-read", file)...)
		if err != nil {
			return err
		}
		found := []result{{"millrace", ours}}
		for _, p := range peers {
			if !b.peers {
				break
			}
			u, err := b.measure(ctx, b.python, "-c", p.script, file, filepath.Join(dir, "out.parquet"))
			if err != nil {
				fmt.Printf("%s: %v\n", p.name, err)
				continue
			}
			found = append(found, result{p.name, u})
		}
		if err := show(found); err != nil {
			return err
		}
	}
	return nil
}

// result is what a reader took.
type result struct {
	name string
	usage
}

// show prints the results with their CPU time relative to the best peer.
func show(found []result) error {
	base := found[0].cpu
	if len(found) > 1 {
		base = slices.MinFunc(found[1:], func(a, b result) int { return int(a.cpu - b.cpu) }).cpu
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tCPU s\tof the best peer\twall s\tmemory MB\t")
	for _, r := range found {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%d\t\n", r.name, r.cpu.Seconds(), r.cpu.Seconds()/base.Seconds(), r.wall.Seconds(), r.memory>>10)
	}
	return w.Flush()
}

// usage is what a process took.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // KiB
}

// measure runs a command several times and returns the run of median CPU time.
func (b *bench) measure(ctx context.Context, name string, args ...string) (usage, error) {
	var all []usage
	for range max(b.runs, 1) {
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
		all = append(all, usage{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), ru.Maxrss})
	}
	slices.SortFunc(all, func(a, b usage) int { return int(a.cpu - b.cpu) })
	return all[len(all)/2], nil
}

// read reads a file as an upload is read.
func (b *bench) read(ctx context.Context, path string) error {
	dir, err := os.MkdirTemp("", "bench-read-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	done, err := duck.Convert(ctx, duck.Source{Path: path, Name: filepath.Base(path)}, &duck.PrepareInput{Columns: source.Columns(b.schema())}, filepath.Join(dir, "out.parquet"), duck.Limits{})
	if err != nil {
		return err
	}
	if want := b.shape(); done.Rows != int64(want) {
		return fmt.Errorf("%d rows, and %d were written", done.Rows, want)
	}
	return nil
}

func (b *bench) shape() int {
	if b.wide {
		return wideRows
	}
	return b.rows
}

const (
	wideRows    = 1000
	wideColumns = 5000
)

// schema is the columns of the file.
func (b *bench) schema() table.Schema {
	if !b.wide {
		return table.Schema{
			{Name: "id", Type: table.Int}, {Name: "at", Type: table.Timestamp}, {Name: "carrier", Type: table.String},
			{Name: "distance", Type: table.Int}, {Name: "delay", Type: table.Float}, {Name: "late", Type: table.Bool},
		}
	}
	s := make(table.Schema, wideColumns)
	for i := range s {
		s[i] = table.Column{Name: fmt.Sprint("c", i), Type: table.Float}
	}
	return s
}
