package faults

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
)

// TestEndBySIGTERM ends the real program in the middle of its work. What it
// had been given is finished and acknowledged within the deadline; nothing is
// delivered a second time, not even to the program that comes after it.
func TestEndBySIGTERM(t *testing.T) {
	url, nodes := startNodes(t, 1)
	t.Setenv("MILLRACE_NATS", url)
	program := env.Build(t)
	o := env.Options{Dir: t.TempDir(), Pipelines: []string{tumours.Pipeline{Name: "ending", Spec: map[string]string{"train": ""}}.Write(t), tumours.Pipeline{Name: "whole"}.Write(t)}}
	var promised []string
	for life := range 3 {
		p := env.Launch(t, program, o)
		var senders sync.WaitGroup
		var mu sync.Mutex
		for i := range 12 {
			senders.Go(func() {
				key := fmt.Sprintf("ending/data/%d-%d.parquet", life, i)
				if i == 0 {
					key = fmt.Sprintf("whole/data/%d.parquet", life)
				}
				event, _ := upload(t, p.System, key, rows(t, uint64(100*life+i+1)))
				mu.Lock()
				defer mu.Unlock()
				promised = append(promised, event)
			})
		}
		senders.Wait()
		if life == 2 {
			p.Settle(t)
		}
		began := time.Now()
		p.Stop(t) // fails the test when the exit code is not 0
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s to end; the deadline is 20 s", took)
		} else {
			t.Logf("life %d ended within %s", life+1, took.Round(time.Millisecond))
		}
		for _, c := range consumers(t, url) {
			finished(t, c, life+1)
		}
	}
	nodes[0].end(t, syscall.SIGTERM)
	sound(t, nodes[0].Dir, promised)
}

// finished checks that what a function was given is acknowledged, and that
// nothing was given twice.
func finished(t testing.TB, c jetstream.Consumer, life int) {
	t.Helper()
	name := c.CachedInfo().Name
	eventually(t, fmt.Sprintf("the acknowledgements of %s after life %d", name, life), func() error {
		info, err := c.Info(t.Context())
		must(t, err)
		if info.NumRedelivered > 0 {
			t.Errorf("after life %d, %d deliveries to %s came again", life, info.NumRedelivered, name)
		}
		if info.NumAckPending > 0 {
			return fmt.Errorf("%d are without", info.NumAckPending)
		}
		return nil
	})
}

// consumers are the functions' subscriptions to the log.
func consumers(t testing.TB, url string) []jetstream.Consumer {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	s, err := js.Stream(t.Context(), "EVENTS")
	must(t, err)
	var out []jetstream.Consumer
	list := s.ConsumerNames(t.Context())
	for name := range list.Name() {
		c, err := s.Consumer(t.Context(), name)
		must(t, err)
		if c.CachedInfo().Config.Durable != "" {
			out = append(out, c)
		}
	}
	must(t, list.Err())
	if len(out) < 6 {
		t.Errorf("there are %d subscriptions", len(out))
	}
	return out
}
