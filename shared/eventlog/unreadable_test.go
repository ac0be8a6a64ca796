package eventlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/eventlog/embedded"
)

// openOver opens a log as Open does, and returns the connection for records that go past it.
func openOver(t *testing.T, o eventlog.Options) (*eventlog.Log, jetstream.JetStream) {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	o.Logger = slog.New(slog.DiscardHandler)
	l, err := eventlog.Open(t.Context(), s.Conn(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l, l.JetStream()
}

// message is a well-formed event of flights, changed.
func message(subject string, change func(*nats.Msg)) *nats.Msg {
	m := &nats.Msg{Subject: subject, Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/x"}, "ce-type": {"com.example.thing"}, "ce-pipeline": {"flights"},
	}, Data: []byte(`{}`)}
	change(m)
	return m
}

func set(name, value string) func(*nats.Msg) {
	return func(m *nats.Msg) { m.Header[name] = []string{value} }
}

// bad are records that are not events, each with a word of its reason.
func bad() map[string]*nats.Msg {
	at := func(cause string) string { return "events.flights.foreign.received.gateway." + cause + ".1" }
	deep := []byte(strings.Repeat("[", 9999) + strings.Repeat("]", 9999))
	return map[string]*nats.Msg{
		"specversion":        {Subject: "events.flights.x", Data: []byte("hello")},
		"not a place":        message("events.flights.y", func(*nats.Msg) {}),
		"RFC 3339":           message(at("a"), set("ce-time", "10000-01-01T23:58:59Z")),
		"in the year 10000":  message(at("b"), set("ce-recordedtime", "9999-12-31T23:59:59-23:59")),
		"is not JSON":        message(at("c"), func(m *nats.Msg) { m.Data = []byte(`{"a":`) }),
		"written as JSON":    message(at("d"), func(m *nats.Msg) { m.Data = deep }),
		"percent-encoded":    message(at("e"), set("ce-subject", "%")),
		"attribute pipeline": message(at("f"), set("ce-pipeline", "other")),
		"does not belong":    message(at("g"), set("ce-type", "dev.millrace.object.uploaded.v1")),
		"attribute source":   message(at("h"), set("Content-Type", "application/cloudevents+json")),
		"stored with it":     message(at("j"), set("Millrace-Commit", "1/1000")),
		"not a position":     message(at("k"), set("Millrace-Commit", "3/2")),
		"attribute id":       message("events.flights.rollout.started.promote.i.1", func(m *nats.Msg) { delete(m.Header, "ce-id") }),
	}
}

// Whatever is in the stream, every reader returns all events, and the unreadable records are reported.
func TestUnreadableRecordsAreSkipped(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]eventlog.Options{"asked of the leader": {}, "asked of the embedded server": {Embedded: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			l, js := openOver(t, o)
			var want []string
			reasons := bad()
			for i, reason := range slices.Sorted(maps.Keys(reasons)) {
				want = append(want, appendOne(t, l, origin(string(rune('a'+i)), uploaded("flights/1"))).Events[0].ID)
				if _, err := js.PublishMsg(ctx, reasons[reason]); err != nil {
					t.Fatal(reason, err)
				}
			}
			want = append(want, appendOne(t, l, origin("last", uploaded("flights/1"))).Events[0].ID)

			var read, followed, exported, next []string
			for e, err := range l.Read(ctx, eventlog.Filter{Pipeline: "flights"}) {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := json.Marshal(e); err != nil {
					t.Errorf("%s was read and cannot be written: %v", e.ID, err)
				}
				read = append(read, e.ID)
			}
			for e, err := range l.Follow(ctx, eventlog.Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				if followed = append(followed, e.ID); len(followed) == len(want) {
					break
				}
			}
			for _, r := range history(t, l) {
				exported = append(exported, r.ID)
			}
			for from := uint64(1); ; {
				r, ok, err := l.Next(ctx, "flights", from)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if r.Unreadable == "" {
					next = append(next, r.ID)
				}
				from = r.Sequence + 1
			}
			for reader, got := range map[string][]string{"Read": read, "Follow": followed, "History": exported, "Next": next} {
				if !slices.Equal(got, want) {
					t.Errorf("%s returned %d events: %q, want %q", reader, len(got), got, want)
				}
			}

			report, err := l.Unreadable(ctx)
			if err != nil || report.Count != uint64(len(reasons)) || report.Checked != report.Last || len(report.Records) != len(reasons) {
				t.Fatalf("%+v, %v", report, err)
			}
			for i, reason := range slices.Sorted(maps.Keys(reasons)) {
				u := report.Records[i]
				if u.Sequence != uint64(2*i+2) || u.Subject != reasons[reason].Subject || !strings.Contains(u.Reason, reason) || u.Time.IsZero() {
					t.Errorf("%q: %+v", reason, u)
				}
			}
			if again, err := l.Unreadable(ctx); err != nil || again.Count != report.Count {
				t.Errorf("asked again: %+v, %v", again, err)
			}

			to := open(t)
			if done, err := to.Import(ctx, "flights", of(history(t, l))); err != nil || done.New != len(want) {
				t.Errorf("imported elsewhere: %+v, %v", done, err)
			}
			if _, err := to.JetStream().Publish(ctx, "events.flights.z", nil); err != nil {
				t.Fatal(err)
			}
			appendOne(t, l, origin("more", uploaded("flights/1")))
			if done, err := to.Import(ctx, "flights", of(history(t, l))); err != nil || done.New != 1 {
				t.Errorf("continued past an unreadable record: %+v, %v", done, err)
			}
		})
	}
}

// A record that is not an event, where a handling's record would be, does not block the handling.
func TestUnreadableRecordDoesNotBlockAHandling(t *testing.T) {
	t.Parallel()
	l, js := openOver(t, eventlog.Options{})
	e := appendOne(t, l, origin("1", uploaded("flights/1"))).Events[0]
	if _, err := js.Publish(t.Context(), "events.flights.x.y.evaluate."+events.CauseOf(e.Header)+".1", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if a := appendOne(t, l, handling(e, "evaluate", request(1))); a.Duplicate {
		t.Error("the unreadable record passed for the handling's")
	}
	if a := appendOne(t, l, handling(e, "evaluate", request(2))); !a.Duplicate {
		t.Error("the handling was recorded twice")
	}
}

// What cannot be read ends a list with an error, never as if it were complete.
func TestReadEndsWithAnError(t *testing.T) {
	t.Parallel()
	l, _ := openOver(t, eventlog.Options{})
	for i := range 3 {
		appendOne(t, l, origin(string(rune('a'+i)), uploaded("flights/1")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, last := 0, error(nil)
	for _, err := range l.Read(ctx, eventlog.Filter{}) {
		n, last = n+1, err
		cancel()
	}
	if n != 2 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d entries, the last with %v", n, last)
	}
}

// FuzzStored publishes arbitrary messages past the log: reading must not fail, and what is read can be written.
func FuzzStored(f *testing.F) {
	f.Add(uint64(1), []byte(`{}`))
	f.Add(uint64(7), []byte(`hello`))
	f.Add(uint64(99), []byte(strings.Repeat("[", 9990)+strings.Repeat("]", 9990)))
	values := []string{"", " ", "é", "%", "%41", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00Z", "1.0", "application/json", "x", "flights", "_", "true"}
	names := []string{"id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "pipeline", "correlationid", "traceparent", "abc", "recordedtime"}
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := message("events.flights.foreign.received.gateway.a.1", func(m *nats.Msg) {
			for range random.IntN(4) {
				m.Header["ce-"+names[random.IntN(len(names))]] = []string{values[random.IntN(len(values))]}
			}
			m.Data = data
		})
		r := eventlog.RecordOf(m.Subject, m.Header, m.Data, 1, time.Now())
		if r.Unreadable != "" {
			return
		}
		b, err := json.Marshal([]events.Envelope{r.Envelope})
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", r, err)
		}
		var again []events.Envelope
		if err := json.Unmarshal(b, &again); err != nil || again[0].ID != r.ID {
			t.Fatalf("%s was written and cannot be read: %v", b, err)
		}
	})
}
