// Command hop measures one hop of a chain: an event is committed, a handler is
// called, what it emits is committed. Beside it runs the bare minimum on
// the same server: a JetStream consumer that publishes and acknowledges,
// without records, states, middleware or metrics.
//
//	go run ./deploy/bench/hop [-n 20000] [-state 10000] [-sync]
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/triggers"
)

const pipeline = "flights"

func main() {
	n := flag.Int("n", 20000, "hops of the throughput run")
	size := flag.Int("state", 10000, "events in the pipeline's log before the run")
	always := flag.Bool("sync", false, "write each append through to the disk (SyncAlways)")
	flag.Parse()
	if err := run(*n, *size, *always); err != nil {
		fmt.Fprintln(os.Stderr, "hop: error:", err)
		os.Exit(1)
	}
}

func run(n, size int, always bool) error {
	dir, err := os.MkdirTemp("", "millrace-hop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	b, err := newBench(ctx, dir, always)
	if err != nil {
		return err
	}
	defer b.server.Close()
	if err := b.fill(ctx, size); err != nil {
		return err
	}
	began := time.Now()
	fresh, err := state.NewStore(ctx, b.log, b.logger)
	if err != nil {
		return err
	}
	if _, err := fresh.Load(ctx, pipeline); err != nil {
		return err
	}
	fmt.Printf("%d processors, log on disk, SyncAlways %v, a state of %d events (rebuilt from nothing in %s)\n\n",
		runtime.GOMAXPROCS(0), always, size, time.Since(began).Round(time.Millisecond))

	in, err := b.start(ctx)
	if err != nil {
		return err
	}
	latency, err := b.latency(ctx, min(2000, n))
	if err != nil {
		return err
	}
	if err := in.Stop(ctx); err != nil {
		return err
	}
	rate, cpu, err := b.throughput(ctx, n)
	if err != nil {
		return err
	}
	bareLatency, bareRate, err := b.bare(ctx, min(2000, n), n)
	if err != nil {
		return err
	}
	fmt.Printf("%-34s %10s %10s %12s\n", "", "p50", "p99", "hops/s")
	fmt.Printf("%-34s %10s %10s %12.0f   (%s CPU a hop)\n", "Millrace, one hop", at(latency, 0.5), at(latency, 0.99), rate, cpu)
	fmt.Printf("%-34s %10s %10s %12.0f\n", "bare JetStream consumer", at(bareLatency, 0.5), at(bareLatency, 0.99), bareRate)
	fmt.Printf("%-34s %9.2fx %9.2fx %11.2fx\n", "ratio", ratio(latency, bareLatency, 0.5), ratio(latency, bareLatency, 0.99), rate/bareRate)
	return nil
}

func at(d []time.Duration, q float64) time.Duration {
	return d[min(len(d)-1, int(q*float64(len(d))))].Round(time.Microsecond)
}

func ratio(a, b []time.Duration, q float64) float64 { return float64(at(a, q)) / float64(at(b, q)) }

type bench struct {
	server *embedded.Server
	log    *eventlog.Log
	states *state.Store
	logger *slog.Logger
	dir    string
	asked  int
}

func newBench(ctx context.Context, dir string, always bool) (*bench, error) {
	b := &bench{dir: dir, logger: slog.New(slog.DiscardHandler)}
	var err error
	if b.server, err = embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, "log"), SyncAlways: always}); err != nil {
		return nil, err
	}
	if b.log, err = eventlog.Open(ctx, b.server.Conn(), eventlog.Options{Logger: b.logger, Embedded: true}); err != nil {
		return nil, err
	}
	b.states, err = state.NewStore(ctx, b.log, b.logger)
	return b, err
}

// fill gives the pipeline a history.
func (b *bench) fill(ctx context.Context, size int) error {
	return parallel(size, 64, func(i int) error {
		key := fmt.Sprintf("flights/%05d.parquet", i%200)
		digest := fmt.Sprintf("sha256:%064x", i)
		_, err := b.log.Append(ctx, eventlog.Commit{Pipeline: pipeline, Function: "gateway", Cause: events.Cause("fill", strconv.Itoa(i)), Data: []events.Data{
			events.ObjectUploaded{Object: events.Object{Key: key, Size: int64(i)}, Content: events.Ref{URL: "x", Digest: digest, Size: 1}},
		}})
		return err
	})
}

// hop handles one event type and emits another. Like promote it only decides.
type hop struct{}

func (hop) Register(m *function.Mux) {
	m.DecidesOnly()
	function.Handle(m, func(_ context.Context, e events.Event[events.EvaluationRequested], _ *state.Pipeline) ([]events.Data, error) {
		return []events.Data{events.TrainingRequested{Reason: strconv.Itoa(e.Data.Version)}}, nil
	})
}

func (b *bench) start(ctx context.Context) (*function.Instance, error) {
	return function.Start(ctx, "hop", hop{}, function.Deps{
		Log: b.log, States: b.states, Logger: b.logger, Metrics: prometheus.NewRegistry(), Dir: b.dir,
	}, function.StartOptions{Trigger: triggers.Trigger{Name: "hop", Function: "hop", Types: []string{events.EvaluationRequested{}.EventType()}}})
}

// ask commits the event that a hop begins with.
func (b *bench) ask(ctx context.Context, i int) error {
	_, err := b.log.Append(ctx, eventlog.Commit{Pipeline: pipeline, Function: "gateway", Cause: events.Cause("ask", strconv.Itoa(i)), Data: []events.Data{
		events.EvaluationRequested{Version: i + 1},
	}})
	return err
}

// latency runs hops one at a time: from the event's commit until a follower of
// the log sees what was emitted.
func (b *bench) latency(ctx context.Context, n int) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := make(chan struct{}, 1)
	go b.follow(ctx, func() { seen <- struct{}{} })
	out := make([]time.Duration, 0, n)
	for range n {
		if err := b.ask(ctx, b.asked); err != nil {
			return nil, err
		}
		b.asked++
		began := time.Now()
		<-seen
		out = append(out, time.Since(began))
	}
	slices.Sort(out)
	return out, nil
}

// follow calls f for each emitted event from now on.
func (b *bench) follow(ctx context.Context, f func()) {
	last, _ := b.log.Last(ctx)
	for _, err := range b.log.Follow(ctx, eventlog.Filter{Pipeline: pipeline, Types: []string{events.TrainingRequested{}.EventType()}, From: last + 1}) {
		if err != nil {
			return
		}
		f()
	}
}

// throughput runs hops as fast as they go: the events are committed before, as
// in a chain, where each is what the hop before emitted.
func (b *bench) throughput(ctx context.Context, n int) (rate float64, cpu time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	count := 0
	go b.follow(ctx, func() {
		if count++; count == n {
			close(done)
		}
	})
	first := b.asked
	b.asked += n
	if err := parallel(n, 64, func(i int) error { return b.ask(ctx, first+i) }); err != nil {
		return 0, 0, err
	}
	used, began := processTime(), time.Now()
	in, err := b.start(ctx)
	if err != nil {
		return 0, 0, err
	}
	<-done
	wall, cpu := time.Since(began), processTime()-used
	return float64(n) / wall.Seconds(), (cpu / time.Duration(n)).Round(time.Microsecond), in.Stop(ctx)
}

func parallel(n, workers int, f func(int) error) error {
	var (
		wg    sync.WaitGroup
		next  = make(chan int)
		first = make(chan error, workers)
	)
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					first <- err
					for range next { // drain, so that the sender ends
					}
					return
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	select {
	case err := <-first:
		return err
	default:
		return nil
	}
}
