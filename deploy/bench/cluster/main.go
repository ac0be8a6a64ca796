// Command cluster measures an installation of Millrace from inside of its
// cluster, beside the least that Knative can do there:
//
//   - from zero: an event given to the broker until a function without a pod has
//     handled it (drift-check: its record is in the log), and until a bare
//     Knative Service without a pod was called;
//   - warm: an event committed until drift-check's record is in the log
//     (log, relay, broker, function, log), and a broker's round trip (event,
//     broker, Service, its answer, broker, here).
//
// bench.yaml is its Job with what it needs; `make bench-cluster` runs it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

const (
	pipeline = "bench-cluster"
	function = "drift-check"
	bare     = "bench-hello"
	patience = 2 * time.Minute
)

func main() {
	cold := flag.Int("cold", 5, "starts from zero of each")
	warm := flag.Int("warm", 200, "warm hops of each")
	flag.Parse()
	if err := run(context.Background(), *cold, *warm); err != nil {
		fmt.Fprintln(os.Stderr, "cluster: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cold, warm int) error {
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	var zero, hop, bareZero, bareHop []time.Duration
	for i := range cold {
		if err := b.atZero(ctx, function, bare); err != nil {
			return err
		}
		if err := errors.Join(b.once(ctx, b.tick, i, &zero), b.once(ctx, b.call, i, &bareZero)); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "from zero, %d of %d: %s in %s, %s in %s\n", i+1, cold, function, zero[i].Round(time.Millisecond), bare, bareZero[i].Round(time.Millisecond))
	}
	for i := range warm {
		if err := errors.Join(b.once(ctx, b.commit, i, &hop), b.once(ctx, b.roundTrip, i, &bareHop)); err != nil {
			return err
		}
	}
	fmt.Printf("%-62s %9s %9s\n", "", "median", "p90")
	line("from zero: broker, "+function+", its record in the log", zero)
	line("from zero: broker, a bare Knative Service", bareZero)
	fmt.Printf("%-62s %8.2fx\n\n", "ratio", ratio(zero, bareZero))
	line("warm: log, relay, broker, "+function+", its record in the log", hop)
	line("warm: broker, a bare Knative Service, broker, here", bareHop)
	fmt.Printf("%-62s %8.2fx\n", "ratio", ratio(hop, bareHop))
	return nil
}

func line(what string, d []time.Duration) {
	slices.Sort(d)
	fmt.Printf("%-62s %9s %9s\n", what, at(d, 0.5), at(d, 0.9))
}

func at(d []time.Duration, q float64) time.Duration {
	return d[min(len(d)-1, int(q*float64(len(d))))].Round(100 * time.Microsecond)
}

func ratio(a, b []time.Duration) float64 { return float64(at(a, 0.5)) / float64(at(b, 0.5)) }

// bench sends events, and follows the log for what arrived.
type bench struct {
	log    *eventlog.Log
	broker string
	run    string // makes the ids of a run its own
	close  func()

	mu   sync.Mutex
	seen map[string]chan time.Time
}

func newBench(ctx context.Context) (*bench, error) {
	server := eventlog.Server{NATS: os.Getenv("MILLRACE_NATS"), Credentials: os.Getenv("MILLRACE_NATS_CREDENTIALS"), User: os.Getenv("MILLRACE_NATS_USER"), Seed: os.Getenv("MILLRACE_NATS_SEED")}
	log, nc, err := server.Open(ctx, "millrace-bench", slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return nil, err
	}
	b := &bench{log: log, broker: os.Getenv("K_SINK"), run: time.Now().UTC().Format("150405"), seen: map[string]chan time.Time{}}
	last, err := b.log.Last(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	b.close = func() { cancel(); nc.Close() }
	go func() {
		for e, err := range b.log.Follow(ctx, eventlog.Filter{Pipeline: pipeline, Types: []string{events.EventHandled{}.EventType()}, From: last + 1}) {
			if err == nil && e.Source == events.Source(function) {
				b.arrived(e.CausationID)
			}
		}
	}()
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		b.arrived(r.URL.Query().Get("id") + r.Header.Get("Ce-Id"))
		w.WriteHeader(http.StatusNoContent)
	})
	answers := &http.Server{Addr: ":8080", ReadHeaderTimeout: time.Minute}
	go func() {
		if err := answers.ListenAndServe(); err != nil {
			fmt.Fprintln(os.Stderr, "cluster: error:", err)
			os.Exit(1)
		}
	}()
	return b, nil
}

func (b *bench) arrived(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.seen[id]; c != nil {
		c <- time.Now()
		delete(b.seen, id)
	}
}

// once sends one event, waits until it has arrived, and adds how long it took.
func (b *bench) once(ctx context.Context, send func(context.Context, int, func(id string)) error, i int, took *[]time.Duration) error {
	arrived := make(chan time.Time, 1)
	began := time.Now()
	if err := send(ctx, i, func(id string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen[id] = arrived
	}); err != nil {
		return err
	}
	select {
	case at := <-arrived:
		*took = append(*took, at.Sub(began))
		return nil
	case <-time.After(patience):
		return fmt.Errorf("event %d has not arrived after %s", i, patience)
	}
}

// tick sends the broker an event for which drift-check has nothing to do.
func (b *bench) tick(ctx context.Context, i int, expect func(string)) error {
	id := fmt.Sprintf("%s-tick-%d", b.run, i)
	expect(id)
	return b.post(ctx, map[string]string{
		"id": id, "source": "/bench", "type": events.ScheduleTicked{}.EventType(), "subject": pipeline + "/schedule/bench", "pipeline": pipeline, "action": "drift-check", "via": "log",
		"correlationid": id,
	}, fmt.Sprintf(`{"schedule":"bench","action":"drift-check","due":%q,"pipeline":%q}`, time.Now().UTC().Format(time.RFC3339Nano), pipeline))
}

// call sends the broker an event for the bare Service, which says here that it came.
func (b *bench) call(ctx context.Context, i int, expect func(string)) error {
	return b.hello(ctx, fmt.Sprintf("%s-call-%d", b.run, i), "com.example.bench.called", expect)
}

// roundTrip sends the broker an event whose answer comes back here by the broker.
func (b *bench) roundTrip(ctx context.Context, i int, expect func(string)) error {
	return b.hello(ctx, fmt.Sprintf("%s-trip-%d", b.run, i), "com.example.bench.asked", expect)
}

func (b *bench) hello(ctx context.Context, id, kind string, expect func(string)) error {
	expect(id)
	return b.post(ctx, map[string]string{"id": id, "source": "/bench", "type": kind, "via": "log"}, `{}`) // not from elsewhere: that would also wake the internal gateway
}

// commit appends what tick sends the broker to the log, as the gateway does.
func (b *bench) commit(ctx context.Context, _ int, expect func(string)) error {
	c := eventlog.Commit{Pipeline: pipeline, Function: "gateway", Data: []events.Data{events.ScheduleTicked{
		Schedule: "bench", Action: "drift-check", Due: time.Now().UTC().Format(time.RFC3339Nano), Pipeline: pipeline,
	}}}
	es, err := c.Events()
	if err != nil {
		return err
	}
	expect(es[0].ID)
	_, err = b.log.Append(ctx, c)
	return err
}

func (b *bench) post(ctx context.Context, attributes map[string]string, data string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.broker, bytes.NewBufferString(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Ce-Specversion", "1.0")
	for k, v := range attributes {
		req.Header.Set("Ce-"+k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the broker at %s answers %s: its dispatcher may be starting; run this again", b.broker, resp.Status)
	}
	return nil
}
