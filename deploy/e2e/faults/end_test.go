package faults

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/deploy/e2e/rig"
	"millrace.dev/deploy/e2e/tumours"
)

// TestEndBySIGTERM ends the real program in the middle of its work. What it
// had been given is finished and acknowledged within the deadline; nothing is
// delivered a second time, not even to the program that comes after it.
func TestEndBySIGTERM(t *testing.T) {
	url, nodes := startNodes(t, 1)
	t.Setenv("MILLRACE_NATS", url)
	program := rig.Build(t)
	o := rig.Options{Dir: t.TempDir(), Pipelines: []string{tumours.Pipeline{Name: "ending", Spec: map[string]string{"train": ""}}.Write(t), tumours.Pipeline{Name: "whole"}.Write(t)}}
	var promised []string
	for life := range 3 {
		p := rig.Launch(t, program, o)
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
		for name, c := range consumers(t, url) {
			if c.NumAckPending > 0 || c.NumRedelivered > 0 {
				t.Errorf("after life %d, %s has %d deliveries without an acknowledgement and %d that came again", life+1, name, c.NumAckPending, c.NumRedelivered)
			}
		}
	}
	nodes[0].end(t, syscall.SIGTERM)
	sound(t, nodes[0].Dir, promised)
}

// consumers are the functions' subscriptions to the log.
func consumers(t testing.TB, url string) map[string]*jetstream.ConsumerInfo {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := js.Stream(ctx, "EVENTS")
	must(t, err)
	out := map[string]*jetstream.ConsumerInfo{}
	list := s.ListConsumers(ctx)
	for c := range list.Info() {
		if c.Config.Durable != "" {
			out[c.Name] = c
		}
	}
	must(t, list.Err())
	if len(out) < 6 {
		t.Errorf("there are %d subscriptions", len(out))
	}
	return out
}
