package account_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/state"
)

const pipeline = "flights"

func open(t *testing.T, in *installation, user string) *eventlog.Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l, nc, err := in.settings(user).Open(ctx, "millrace-"+user, slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	t.Cleanup(nc.Close)
	return l
}

func setup(t *testing.T, in *installation) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 { // an init container runs again
		must(t, in.settings("setup").Setup(ctx, "millrace-setup", slog.New(slog.NewTextHandler(t.Output(), nil))))
	}
}

// TestWork: with the rights of the table every program does what it has to, on one server and on three.
func TestWork(t *testing.T) {
	for name, c := range map[string]struct {
		conf string
		n    int
	}{"base": {"base/nats.conf", 1}, "nats": {"overlays/nats/nats.conf", 3}} {
		t.Run(name, func(t *testing.T) {
			in := install(t, c.conf, c.n)
			setup(t, in)
			n := 0
			for _, user := range []string{"gateway", "ingest", "validate", "train-launcher", "evaluate", "promote", "drift-check", "inference"} {
				l := open(t, in, user)
				must(t, l.Ready(t.Context()))
				if _, err := l.Import(t.Context(), pipeline, nil); !errors.Is(err, eventlog.ErrDenied) {
					t.Errorf("%s may import: %v", user, err)
				}
				announce(t, l, user)
				n += 3
				read(t, l, n)
			}
			read(t, open(t, in, "replay"), n)
			read(t, open(t, in, "relay"), n)
			sidecar(t, in)
		})
	}
}

// announce commits one event, a batch, and the first one again.
func announce(t *testing.T, l *eventlog.Log, user string) {
	t.Helper()
	states, err := state.NewStore(t.Context(), l, slog.Default())
	must(t, err)
	_, err = states.Load(t.Context(), pipeline)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i, data := range [][]events.Data{
		{events.TrainingRequested{By: user}},
		{events.TrainingRequested{By: user}, events.EvaluationRequested{Version: 1}},
		{events.TrainingRequested{By: user}},
	} {
		a, err := l.Append(ctx, eventlog.Commit{Pipeline: pipeline, Function: user, Cause: events.Cause(user, fmt.Sprint(i%2)), Data: data})
		must(t, err)
		if a.Duplicate != (i == 2) {
			t.Errorf("%s: commit %d: duplicate %t", user, i, a.Duplicate)
		}
	}
}

// read reads the log in every way.
func read(t *testing.T, l *eventlog.Log, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	followed := 0
	for _, err := range l.Follow(ctx, eventlog.Filter{}) {
		must(t, err)
		if followed++; followed == want {
			break
		}
	}
	// Any replica answers a read, which may not have the newest events yet.
	found := 0
	for found < want && ctx.Err() == nil {
		found = 0
		for _, err := range l.Read(ctx, eventlog.Filter{Pipeline: pipeline}) {
			must(t, err)
			found++
		}
	}
	r, ok, err := l.Next(ctx, pipeline, 1)
	must(t, err)
	if followed != want || found != want || !ok || r.Pipeline != pipeline {
		t.Errorf("%d events followed, %d read, want %d; the first is %v", followed, found, want, r.Header)
	}
}

// sidecar does what the sidecar of a run does: it emits the run's end once, the log's last lines are kept.
func sidecar(t *testing.T, in *installation) {
	t.Helper()
	l, nc, err := in.settings("run").OpenToAnnounce(t.Context(), "millrace-sidecar", slog.Default())
	must(t, err)
	defer nc.Close()
	must(t, result.KeepTail(t.Context(), l, pipeline, "r1", "first\nlast"))
	launcher := open(t, in, "train-launcher")
	tail, err := result.Tail(t.Context(), launcher, pipeline, "r1")
	must(t, err)
	if tail != "first\nlast" {
		t.Errorf("the tail is %q", tail)
	}
	for i, data := range []events.Data{events.TrainingProgressed{Run: "r1", Step: 1}, events.TrainingFailed{Run: "r1", Reason: "r"}, events.TrainingFailed{Run: "r1", Reason: "again"}} {
		a, err := l.Append(t.Context(), eventlog.Commit{Pipeline: pipeline, Function: events.RunFunction, Data: []events.Data{data}})
		must(t, err)
		if a.Duplicate != (i == 2) {
			t.Errorf("announcement %d: duplicate %t", i, a.Duplicate)
		}
	}
}
