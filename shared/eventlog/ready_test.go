package eventlog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
)

// TestReady takes the stream away, creates it again and changes it under an open log: each is noticed, with a sentence.
func TestReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*testing.T, jetstream.JetStream, jetstream.StreamConfig) error
		want   string // "" for ready
	}{
		{"as it was", func(*testing.T, jetstream.JetStream, jetstream.StreamConfig) error { return nil }, ""},
		{"deleted", func(t *testing.T, js jetstream.JetStream, _ jetstream.StreamConfig) error {
			return js.DeleteStream(t.Context(), eventlog.Stream)
		}, "has no stream EVENTS any more; restore it from a backup, or restart every program"},
		{"created again", func(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
			return errors.Join(js.DeleteStream(t.Context(), eventlog.Stream), create(t, js, cfg))
		}, "after this program had opened another one"},
		{"emptied by age", func(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
			cfg.MaxAge, cfg.Duplicates = time.Second, time.Second
			return update(t, js, cfg)
		}, "max_age 1s; set it back (nats stream edit EVENTS)"},
		{"more subjects", func(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
			cfg.Subjects, cfg.AllowAtomicPublish = append(cfg.Subjects, "other"), false
			return update(t, js, cfg)
		}, `subjects ["events.>" "other"] instead of ["events.>"], allow_atomic is off`},
		{"a limit of size", func(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
			cfg.MaxBytes = 1 << 30
			return update(t, js, cfg)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := open(t)
			js := l.JetStream()
			s, err := js.Stream(t.Context(), eventlog.Stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Ready(t.Context()); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := c.change(t, js, s.CachedInfo().Config); err != nil {
				t.Fatal(err)
			}
			err = l.Ready(t.Context())
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, eventlog.ErrLost) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v\nwant %q", err, c.want)
			}
		})
	}
}

func create(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	t.Helper()
	_, err := js.CreateStream(t.Context(), cfg)
	return err
}

func update(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	t.Helper()
	_, err := js.UpdateStream(t.Context(), cfg)
	return err
}
