package state_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
	"millrace.dev/shared/state"
)

// Records that are not events change no state, and a guarded decision can be committed after them.
func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	log, err := eventlog.Open(ctx, server.Conn(), eventlog.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.NewStore(ctx, log, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	start := func(version int) error {
		v, err := store.View(ctx, "flights")
		if err != nil {
			return err
		}
		_, err = log.Append(ctx, eventlog.Commit{
			Pipeline: "flights", Function: "promote", Cause: events.Cause(fmt.Sprint(version)), Guards: []eventlog.Guard{v.Guard("rollout")},
			Data: []events.Data{events.RolloutStarted{Version: version, Strategy: "direct", Weights: []events.Weight{{Version: version, Percent: 100}}, Reason: "r"}},
		})
		return err
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	model := events.ModelRegistered{Model: events.Model{Format: "onnx", Digest: digest, Files: []events.File{{Name: "model.onnx", Ref: events.Ref{URL: "x", Digest: digest, Size: 1}}}}}
	for _, cause := range []string{"a", "b"} {
		if _, err := log.Append(ctx, eventlog.Commit{Pipeline: "flights", Function: "gateway", Cause: events.Cause(cause), Data: []events.Data{model}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := start(1); err != nil {
		t.Fatal(err)
	}
	// More than are asked of the leader one by one.
	for i := range 100 {
		if _, err := log.JetStream().Publish(ctx, fmt.Sprintf("events.flights.rollout.%d", i), []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if err := start(2); err != nil {
		t.Fatalf("a decision after the records: %v", err)
	}
	now, err := store.Load(ctx, "flights")
	if err != nil || now.Rollout == nil || now.Rollout.Version != 2 {
		t.Errorf("%+v, %v", now.Rollout, err)
	}
	last, err := log.Last(ctx)
	if err != nil {
		t.Fatal(err)
	}
	then, err := store.LoadAt(ctx, "flights", state.At{Sequence: last - 1})
	if err != nil || then.Rollout == nil || then.Rollout.Version != 1 {
		t.Errorf("before it: %+v, %v", then.Rollout, err)
	}
}

// A commit that is forged and never completed delays a load a little and does not block it.
func TestIncompleteCommits(t *testing.T) {
	t.Parallel()
	forged := func(pipeline string) *nats.Msg {
		return &nats.Msg{
			Subject: "events." + pipeline + ".foreign.received.gateway.a.1",
			Header: nats.Header{
				"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/x"}, "ce-type": {"com.example.thing"}, "ce-pipeline": {pipeline},
				"Millrace-Commit": {"1/1000"},
			},
			Data: []byte(`{}`),
		}
	}
	for name, publish := range map[string]func(context.Context, jetstream.JetStream) error{
		"a single message": func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.PublishMsg(ctx, forged("flights"))
			return err
		},
		"a batch that continues in another pipeline": func(ctx context.Context, js jetstream.JetStream) error {
			_, err := jetstreamext.PublishMsgBatch(ctx, js, []*nats.Msg{forged("flights"), forged("other")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			server, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			log, err := eventlog.Open(ctx, server.Conn(), eventlog.Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			store, err := state.NewStore(ctx, log, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := publish(ctx, log.JetStream()); err != nil {
				t.Fatal(err)
			}
			v, err := store.View(ctx, "flights")
			if err != nil || v.Sequence != 1 {
				t.Errorf("sequence %d, %v", v.Sequence, err)
			}
		})
	}
}
