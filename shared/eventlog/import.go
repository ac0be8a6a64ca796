package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"millrace.dev/events"
)

// ErrOtherHistory means that the pipeline has events that are neither the imported ones nor the beginning of them.
var ErrOtherHistory = errors.New("the pipeline has a history of its own")

// ErrLives means that the pipeline has events that happened here: what is imported behind them would be decisions that
// nothing here has made.
var ErrLives = errors.New("the pipeline lives here already")

// ErrBadHistory means that the import contains what a log cannot hold.
var ErrBadHistory = errors.New("this is not a valid history")

// importUser is the user of NATS that may write the events of every function.
const importUser = "import"

// An import is written in batches of whole commits. A stream accepts at most 1,000 messages in a batch.
const (
	importMessages    = 256
	importBytes       = 4 << 20
	maxCommitMessages = 1000
)

// Imported is the result of an import.
type Imported struct {
	// Events is the number of events in the history, New the number of those that were not here before.
	Events, New int
}

// Import appends the history of a pipeline of another log, in its order and commit by commit. Subjects, ids and data stay
// the same, and the time of each event becomes its recordedtime. Functions do not handle imported events (see
// events.Header.Imported), since what followed from them is part of the history.
//
// The pipeline must have no events here, or the beginning of the history (an interrupted import is continued), or all of it
// and more (nothing is changed); otherwise the error is ErrOtherHistory. If events of that beginning happened here and were
// not imported, nothing is appended to them, and the error is ErrLives. If something else writes into the pipeline
// meanwhile, the error is ErrMoved. A program with a user of its own in NATS may not import: ErrDenied. Events that were appended before an error stay.
func (l *Log) Import(ctx context.Context, pipeline string, history iter.Seq2[Recorded, error]) (Imported, error) {
	if err := tokenMistake("pipeline", pipeline); err != nil {
		return Imported{}, err
	}
	if l.user != "" && l.user != importUser {
		return Imported{}, fmt.Errorf("%w: an import writes the events of every function, and the NATS user %s writes its own only", ErrDenied, l.user)
	}
	here, stop := iter.Pull2(l.Recorded(ctx, Filter{Pipeline: pipeline}))
	defer stop()
	in := importing{log: l, pipeline: pipeline}
	known, lives := true, false
	for r, err := range history {
		if err == nil {
			err = in.check(r)
		}
		if err != nil {
			return in.done, err
		}
		in.done.Events++
		if known {
			h, err, more := here()
			for ; more && err == nil && h.Unreadable != ""; h, err, more = here() {
				in.last = h.Sequence
			}
			if err != nil {
				return in.done, err
			}
			if more {
				if !same(h, r) {
					return in.done, fmt.Errorf("%w: event %d of the history is %s %s, and here it is %s %s",
						ErrOtherHistory, in.done.Events, short(r.Type), r.ID, short(h.Type), h.ID)
				}
				in.last = h.Sequence
				lives = lives || !h.Imported()
				continue
			}
			known = false
		}
		if lives {
			return in.done, fmt.Errorf("%w: it has the first %d events of the history, and they were not imported", ErrLives, in.done.Events-1)
		}
		if err := in.take(ctx, r); err != nil {
			return in.done, err
		}
	}
	if in.more > 0 {
		return in.done, fmt.Errorf("%w: it ends within a commit: %d of its events are missing", ErrBadHistory, in.more)
	}
	return in.done, in.flush(ctx)
}

// importing is an import in progress.
type importing struct {
	log      *Log
	pipeline string
	done     Imported
	// last is the sequence of the pipeline's last record here.
	last uint64
	// index and more are those of the previous event.
	index, more int
	// pending are complete commits, and at most one that is not complete yet.
	pending []Recorded
	bytes   int
}

// check checks that the event belongs where it says.
func (in *importing) check(r Recorded) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: event %d (%s): %w", ErrBadHistory, in.done.Events+1, r.ID, fmt.Errorf(format, args...))
	}
	p, err := placeOf(r.Place)
	if err != nil {
		return wrong("%w", err)
	}
	noun, past := events.Words(r.Type)
	own := p.id(r.Type, r.Subject) == r.ID && r.Source == events.Source(p.function)
	foreign := p.cause == events.CauseOf(r.Header)
	begins := in.more == 0 && r.Index == 1
	follows := in.more > 0 && r.Index == in.index+1 && r.More == in.more-1
	switch {
	case p.pipeline != in.pipeline || r.Pipeline != in.pipeline:
		return wrong("it belongs to the pipeline %s, not %s", r.Pipeline, in.pipeline)
	case p.noun != noun || p.past != past:
		return wrong("its type %s does not belong at %s", r.Type, r.Place)
	case !own && !foreign:
		return wrong("its id does not match its place: it has been changed")
	case writable(r.Envelope) != nil:
		return wrong("%w", writable(r.Envelope))
	case r.Time.IsZero():
		return wrong("attribute %s is missing", events.AttributeRecordedTime)
	case len(r.Data) > events.MaxDataBytes:
		return wrong("%w", tooLarge(r.Envelope))
	case len(bytes.TrimSpace(r.Data)) > 0 && !json.Valid(r.Data):
		return wrong("its data is not JSON")
	case !begins && !follows || r.More < 0 || r.Index+r.More > maxCommitMessages:
		return wrong("it is number %d of a commit of %d, and does not follow number %d of one of %d", r.Index, r.Index+r.More, in.index, in.index+in.more)
	}
	in.index, in.more = r.Index, r.More
	return nil
}

// placeOf parses a subject of the log.
func placeOf(subject string) (place, error) {
	t := strings.Split(subject, ".")
	if len(t) != 7 || t[0] != root {
		return place{}, fmt.Errorf("%q is not a place in the log", subject)
	}
	p := place{pipeline: t[1], noun: t[2], past: t[3], function: t[4], cause: t[5]}
	n, err := strconv.Atoi(t[6])
	p.n = n
	if err = errors.Join(err, tokenMistake("pipeline", p.pipeline), tokenMistake("function", p.function), tokenMistake("cause", p.cause)); err != nil {
		return place{}, fmt.Errorf("%q is not a place in the log: %w", subject, err)
	}
	if n < 1 || p.subject() != subject {
		return place{}, fmt.Errorf("%q is not a place in the log", subject)
	}
	return p, nil
}

func same(a, b Recorded) bool {
	return a.Place == b.Place && a.ID == b.ID && a.Time.Equal(b.Time) && a.Index == b.Index && a.More == b.More &&
		bytes.Equal(plain(a.Data), plain(b.Data))
}

// plain normalizes JSON, so that the output of different encoders is equal.
func plain(data []byte) []byte {
	var compact, escaped bytes.Buffer
	if json.Compact(&compact, data) != nil {
		return data
	}
	json.HTMLEscape(&escaped, compact.Bytes())
	return escaped.Bytes()
}

func short(eventType string) string {
	noun, past := events.Words(eventType)
	return noun + "." + past
}

func (in *importing) take(ctx context.Context, r Recorded) error {
	if r.Index == 1 && (len(in.pending)+1+r.More > maxCommitMessages || len(in.pending) >= importMessages || in.bytes >= importBytes) {
		if err := in.flush(ctx); err != nil {
			return err
		}
	}
	in.pending = append(in.pending, r)
	in.bytes += len(r.Data)
	return nil
}

// flush appends the pending commits, all of them or none, directly after the pipeline's last record.
func (in *importing) flush(ctx context.Context) error {
	if len(in.pending) == 0 {
		return nil
	}
	if in.log.readOnly {
		return ErrReadOnly
	}
	backoff := 20 * time.Millisecond
	for {
		sequence, err := in.send(ctx)
		switch verdict(err) {
		case done:
		case lookUp:
			if sequence, err = in.find(ctx); err != nil {
				return err
			}
		case sendAgain:
			in.log.logger.WarnContext(ctx, "the event log did not answer; the import is sent again", "error", err, "after", backoff)
			select {
			case <-ctx.Done():
				return fmt.Errorf("import into the event log: %w (last answer: %w)", context.Cause(ctx), err)
			case <-time.After(backoff):
			}
			backoff = min(2*backoff, maxBackoff)
			continue
		default:
			return fmt.Errorf("import into the event log: %w", explain(err))
		}
		in.done.New += len(in.pending)
		in.last, in.pending, in.bytes = sequence, in.pending[:0], 0
		return nil
	}
}

func (in *importing) send(ctx context.Context) (uint64, error) {
	msgs := make([]*nats.Msg, len(in.pending))
	for i, r := range in.pending {
		msgs[i] = importMessage(r)
	}
	msgs[0].Header[expectSequence] = []string{strconv.FormatUint(in.last, 10)}
	msgs[0].Header[expectSubject] = []string{pipelineFilter(in.pipeline)}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if len(msgs) == 1 {
		ack, err := in.log.js.PublishMsg(ctx, msgs[0])
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
	select {
	case in.log.batches <- struct{}{}:
		defer func() { <-in.log.batches }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	ack, err := jetstreamext.PublishMsgBatch(ctx, in.log.js, msgs)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// importMessage returns the message of an imported event, with its original time.
func importMessage(r Recorded) *nats.Msg {
	e := r.Envelope
	attributes := map[string]string{events.AttributeRecordedTime: e.Time.UTC().Format(time.RFC3339Nano)}
	for k, v := range e.Attributes {
		if k != events.AttributeRecordedTime {
			attributes[k] = v
		}
	}
	e.Attributes, e.Time = attributes, time.Time{}
	m := encode(r.Place, e)
	if size := r.Index + r.More; size > 1 {
		m.Header[commitHeader] = []string{indexOf{r.Index, size}.String()}
	}
	return m
}

// find interprets a refusal: either the batch is there, because an answer was lost, or something else has written.
func (in *importing) find(ctx context.Context) (uint64, error) {
	last := in.last
	for _, want := range in.pending {
		r, ok, err := in.log.Next(ctx, in.pipeline, last+1)
		if err != nil {
			return 0, err
		}
		if !ok || !same(r, want) {
			return 0, fmt.Errorf("%w: something else wrote into %s during the import; import it into a system that does not have the pipeline", ErrMoved, in.pipeline)
		}
		last = r.Sequence
	}
	return last, nil
}

// History returns the events of a pipeline for an import elsewhere, up to the end of the newest commit. Unreadable records
// are left out.
func (l *Log) History(ctx context.Context, pipeline string) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		var commit []Recorded
		for r, err := range l.Recorded(ctx, Filter{Pipeline: pipeline}) {
			if err != nil {
				yield(r, err)
				return
			}
			if r.Unreadable != "" {
				continue
			}
			if commit = append(commit, r); r.More > 0 {
				continue
			}
			for _, r := range commit {
				if !yield(r, nil) {
					return
				}
			}
			commit = slices.Delete(commit, 0, len(commit))
		}
	}
}
