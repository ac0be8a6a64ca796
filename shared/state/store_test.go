package state_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/state"
)

// TestCachedFolds puts a random log into a real one, and holds what a store
// that finds cached folds gives against the fold from nothing.
func TestCachedFolds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	server, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	log, err := eventlog.Open(ctx, server.Conn(), eventlog.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	open := func() *state.Store {
		s, err := state.NewStore(ctx, log, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	load := func(s *state.Store, pipeline string) []byte {
		p, err := s.Load(ctx, pipeline)
		if err != nil {
			t.Fatal(err)
		}
		return encode(t, p)
	}
	random := newRandomLog(1, specs(t))
	add := func(n int) {
		for _, e := range random.draw(n) {
			if e.Type == "" {
				continue // no gate lets it in
			}
			if _, err := log.AppendForeign(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	fromNothing := func(pipeline string) []byte {
		last, err := log.Last(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p, err := open().LoadAt(ctx, pipeline, state.At{Sequence: last})
		if err != nil {
			t.Fatal(err)
		}
		return encode(t, p)
	}

	add(1300)
	first := open()
	kv, err := log.JetStream().KeyValue(ctx, "STATES")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i, name := range pipelines {
		same(t, "folded at once", load(first, name), fromNothing(name))
		keys = cachedKeys(ctx, t, kv, i+1) // one is cached at a time
	}
	add(200)
	for _, name := range pipelines {
		want := fromNothing(name)
		same(t, "folded on", load(first, name), want)
		same(t, "from a cached fold and the tail", load(open(), name), want)
	}
	for _, key := range keys {
		if _, err := kv.Put(ctx, key, []byte("no fold")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range pipelines {
		same(t, "with cached folds that cannot be read", load(open(), name), fromNothing(name))
	}
	for _, key := range keys {
		if err := kv.Purge(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range pipelines {
		same(t, "without cached folds", load(open(), name), fromNothing(name))
		same(t, "of a store that had them", load(first, name), fromNothing(name))
	}
}

// cachedKeys waits until so many folds have been cached, which happens beside
// the loading.
func cachedKeys(ctx context.Context, t *testing.T, kv jetstream.KeyValue, n int) []string {
	t.Helper()
	w, err := kv.WatchAll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	seen := map[string]bool{}
	var keys []string
	for len(keys) < n {
		select {
		case e := <-w.Updates():
			if e != nil && !seen[e.Key()] {
				seen[e.Key()] = true
				keys = append(keys, e.Key())
			}
		case <-ctx.Done():
			t.Fatalf("only %v are cached", keys)
		}
	}
	return keys
}
