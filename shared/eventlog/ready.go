package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrLost means that the stream is not the log that was opened: it is gone, was created again, or can lose events.
var ErrLost = errors.New("the event log is lost")

// Ready returns an error unless the log can be reached and written now, and is the one that was opened. A log that is gone,
// that was created again or whose configuration lets events disappear is ErrLost.
func (l *Log) Ready(ctx context.Context) error {
	if s := l.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("the NATS server at %s is not connected: %s", l.nc.ConnectedUrlRedacted(), s)
	}
	if err := l.degraded(); err != nil {
		return err
	}
	if l.announces {
		return nil
	}
	s, err := l.js.Stream(ctx, Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: the NATS server at %s has no stream %s any more; restore it from a backup, or restart every program to begin an empty log",
			ErrLost, l.nc.ConnectedUrlRedacted(), Stream)
	}
	if err != nil {
		return fmt.Errorf("look at the event log: %w", err)
	}
	info := s.CachedInfo()
	if !info.Created.Equal(l.made) {
		return fmt.Errorf("%w: the stream %s was made at %s, after this program had opened another one; restart the program if that was intended",
			ErrLost, Stream, info.Created.UTC().Format("2006-01-02T15:04:05Z"))
	}
	if wrong := changed(info.Config); len(wrong) > 0 {
		return fmt.Errorf("%w: the configuration of the stream %s was changed: %s; set it back (nats stream edit %s)", ErrLost, Stream, strings.Join(wrong, ", "), Stream)
	}
	return nil
}

// changed lists what in the configuration breaks the log's promises: that an event stays, that a subject holds one event,
// and that what is in the log was appended to it. Limits of size are the operator's: a full stream refuses events.
func changed(c jetstream.StreamConfig) (wrong []string) {
	want := streamConfig(c.Replicas)
	for _, v := range []struct {
		name string
		ok   bool
	}{
		{fmt.Sprintf("subjects %q instead of %q", c.Subjects, want.Subjects), slices.Equal(c.Subjects, want.Subjects)},
		{fmt.Sprintf("max_age %s", c.MaxAge), c.MaxAge == 0},
		{fmt.Sprintf("max_msgs_per_subject %d instead of 1", c.MaxMsgsPerSubject), c.MaxMsgsPerSubject == 1},
		{fmt.Sprintf("discard %s instead of new", c.Discard), c.Discard == want.Discard},
		{fmt.Sprintf("retention %s instead of limits", c.Retention), c.Retention == want.Retention},
		{"discard_new_per_subject is off", c.DiscardNewPerSubject},
		{"deny_delete is off", c.DenyDelete},
		{"deny_purge is off", c.DenyPurge},
		{"allow_atomic is off", c.AllowAtomicPublish},
		{"allow_rollup_hdrs is on", !c.AllowRollup},
		{"allow_msg_ttl is on", !c.AllowMsgTTL},
		{"it has a mirror or sources", c.Mirror == nil && len(c.Sources) == 0},
		{"it has a subject_transform", c.SubjectTransform == nil},
	} {
		if !v.ok {
			wrong = append(wrong, v.name)
		}
	}
	return wrong
}
