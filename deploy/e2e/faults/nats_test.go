package faults

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/deploy/millrace/up"
	"millrace.dev/events"
)

// TestServersKilled kills NATS servers while uploads come in and a model is
// trained: one that is alone, and each of three in turn. Uploads are sent by
// who sends until there is an answer; what was answered is kept, and takes
// effect once.
func TestServersKilled(t *testing.T) {
	for _, c := range []struct {
		name         string
		servers      int
		kills, batch int
	}{
		{"OneServer", 1, 4, 4},
		{"OneOfThree", 3, 3, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, nodes := startNodes(t, c.servers)
			s := env.Start(t, env.Options{
				Pipelines: []string{tumours.Pipeline{Name: "many", Spec: map[string]string{"train": ""}}.Write(t), tumours.Pipeline{Name: "whole"}.Write(t)},
				Change:    func(o *up.Options) { o.NATS, o.Replicas = url, c.servers },
			})
			w := s.Watch(t, "whole")
			var mu sync.Mutex
			var promised []string
			refusals := 0
			send := func(key string, seed uint64) {
				event, refused := upload(t, s, key, rows(t, seed))
				mu.Lock()
				defer mu.Unlock()
				promised = append(promised, event)
				refusals += refused
			}
			for kill := range c.kills {
				var senders sync.WaitGroup
				for i := range c.batch {
					n := kill*c.batch + i
					senders.Go(func() { send(fmt.Sprintf("many/data/%d.parquet", n), uint64(n+1)) })
				}
				if kill == 1 {
					senders.Go(func() { send("whole/data/a.parquet", 1000) })
				}
				n := nodes[kill%len(nodes)]
				n.end(t, syscall.SIGKILL)
				if c.servers > 1 {
					senders.Wait() // two of three go on
				}
				n.start(t)
				senders.Wait()
				if c.servers > 1 {
					current(t, url)
				}
			}
			env.Await[events.ModelPromoted](t, w)
			s.Settle(t)
			if got := len(s.Pipeline(t, "many").Dataset.Partitions); got != c.kills*c.batch {
				t.Errorf("the dataset has %d partitions of %d", got, c.kills*c.batch)
			}
			if c.servers > 1 && refusals > 0 {
				t.Errorf("%d requests were refused, though two of three servers were there", refusals)
			}
			s.Stop(t)
			dir := alone(t, url, nodes)
			for _, n := range nodes {
				n.end(t, syscall.SIGTERM)
			}
			sound(t, dir, promised)
			t.Logf("%d kills, %d uploads, %d refusals before they were acknowledged", c.kills, len(promised), refusals)
		})
	}
}
