package eventlog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"millrace.dev/events"
	"millrace.dev/shared/failpoint"
)

// ErrMoved means that a commit was refused because something it depends on has changed: the guarded noun, or an event that
// it wanted to emit first. Fold again and decide again.
var ErrMoved = errors.New("the log has moved on")

// ErrDiskFull means that the log has no room for another event.
var ErrDiskFull = errors.New("the disk of the event log is full")

// GuardedNouns are the nouns that only guarded decisions may write.
var GuardedNouns = []string{"dataset", "drift", "rollout"}

// Commit is what is appended as one: all of it or nothing.
type Commit struct {
	Pipeline string
	// Function is the one that emits. Originated data (events.Originated) is stored under its own function and cause.
	Function string
	// Handled is the event being handled, from which the commit's cause is derived. Zero for an origin.
	Handled events.Header
	// Parent is the causing event of an origin, used for causation ids only. Zero if the origin starts a chain.
	Parent events.Header
	// Cause of an origin: events.Cause over what identifies it. Not needed when all data is events.Originated.
	Cause string
	Data  []events.Data
	// Guards are the nouns that the decision depends on.
	Guards []Guard
	// Attributes are added to each event's extensions.
	Attributes map[string]string
}

// Guard makes the commit fail if a newer event of Noun exists than the one the decision was based on.
type Guard struct {
	Noun string
	// Sequence is the highest folded sequence of the noun, 0 if no event of it was folded.
	Sequence uint64
}

// Appended is the result of a commit.
type Appended struct {
	// Events are as stored in the log; of a duplicate, as they were first committed.
	Events []events.Envelope
	// Duplicate means that the same handling or origin had been committed before.
	Duplicate bool
}

const (
	commitHeader   = "Millrace-Commit" // "2/3": the second of three
	expectSequence = "Nats-Expected-Last-Subject-Sequence"
	expectSubject  = "Nats-Expected-Last-Subject-Sequence-Subject"

	attemptTimeout = 5 * time.Second
	maxBackoff     = 2 * time.Second
)

// Append commits. A second commit of the same handling or origin succeeds with Duplicate set, whatever it contains. The
// error is ErrMoved when the caller has to decide again, and ErrDiskFull when there is no room. A commit that the server
// does not answer is sent again until ctx ends.
func (l *Log) Append(ctx context.Context, c Commit) (Appended, error) {
	entries, err := c.entries()
	if err != nil {
		return Appended{}, err
	}
	return l.commit(ctx, entries)
}

// entry is one message of a commit.
type entry struct {
	place place
	event events.Envelope
	// expect is the filter whose last sequence must be sequence, "" for none.
	expect   string
	sequence uint64
	// first marks the entries that carry the "no record yet" precondition.
	first bool
}

// entries returns the commit's messages in order, with their subjects, ids and preconditions.
func (c Commit) entries() ([]entry, error) {
	cause := c.Cause
	if c.Handled.ID != "" {
		cause = events.CauseOf(c.Handled)
	}
	if err := errors.Join(tokenMistake("pipeline", c.Pipeline), tokenMistake("function", c.Function)); err != nil {
		return nil, err
	}
	if len(c.Data) == 0 {
		return nil, errors.New("a commit announces at least one event")
	}
	data := c.Data
	if c.Handled.ID != "" && !slices.ContainsFunc(data, c.records) {
		data = slices.Insert(slices.Clone(data), 0, events.Data(c.announced()))
	}
	var out []entry
	ordinals := map[string]int{}
	for _, d := range data {
		if err := d.Validate(); err != nil {
			return nil, fmt.Errorf("%s announces a %s that is not valid: %w", c.Function, d.EventType(), err)
		}
		e, err := c.entry(d, cause, ordinals)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	// The record's precondition is on the first message of the handling and a guard on another one, since a message can
	// carry only one.
	slices.SortStableFunc(out, func(a, b entry) int { return c.rank(a) - c.rank(b) })
	seen := map[string]bool{}
	for i := range out {
		if r := out[i].place.record(); !seen[r] && !c.guarded(out[i].place.noun) {
			out[i].first, seen[r] = true, true
			if failpoint.Keeps(failpoint.Record) {
				out[i].expect = r
			}
		}
	}
	return out, c.applyGuards(out)
}

// records reports whether d can be the handling's record: it is stored under the handling's own cause and can carry the
// record's precondition.
func (c Commit) records(d events.Data) bool {
	if _, ok := d.(events.Originated); ok {
		return false
	}
	noun, _ := events.Words(d.EventType())
	return !c.guarded(noun)
}

func (c Commit) guarded(noun string) bool { return slices.Contains(GuardedNouns, noun) }

func (c Commit) rank(e entry) int {
	if c.guarded(e.place.noun) {
		return 1
	}
	return 0
}

// announced returns the record of a handling whose events are all stored elsewhere.
func (c Commit) announced() events.EventHandled {
	var types []string
	for _, d := range c.Data {
		noun, past := events.Words(d.EventType())
		types = append(types, noun+"."+past)
	}
	return events.EventHandled{
		Event: c.Handled.ID, Type: c.Handled.Type, Function: c.Function, Reason: events.Announced + strings.Join(types, ", "),
	}
}

func (c Commit) entry(d events.Data, cause string, ordinals map[string]int) (entry, error) {
	function := c.Function
	if o, ok := d.(events.Originated); ok {
		function, cause = o.Origin()
	}
	if err := errors.Join(tokenMistake("function", function), tokenMistake("cause", cause)); err != nil {
		return entry{}, err
	}
	noun, past := events.Words(d.EventType())
	p := place{pipeline: c.Pipeline, noun: noun, past: past, function: function, cause: cause}
	ordinals[p.record()]++
	p.n = ordinals[p.record()]

	body, err := json.Marshal(d)
	if err != nil {
		return entry{}, fmt.Errorf("write %s: %w", d.EventType(), err)
	}
	subject := c.Pipeline + "/" + d.EventSubject()
	h := events.Header{
		ID: p.id(d.EventType(), subject), Source: events.Source(function), Type: d.EventType(), Subject: subject,
		Pipeline: c.Pipeline, Attributes: map[string]string{},
	}
	parent := c.Handled
	if parent.ID == "" {
		parent = c.Parent
	}
	h.CausationID, h.CorrelationID, h.TraceParent = parent.ID, parent.CorrelationID, parent.TraceParent
	if h.CorrelationID == "" {
		h.CorrelationID = parent.ID
	}
	if h.CorrelationID == "" {
		h.CorrelationID = h.ID
	}
	if h.TraceParent == "" {
		h.TraceParent = traceParent(h.CorrelationID)
	}
	maps.Copy(h.Attributes, c.Attributes)
	if a, ok := d.(events.Attributed); ok {
		maps.Copy(h.Attributes, a.Attributes())
	}
	e := events.Envelope{Header: h, Data: body}
	if len(body) > events.MaxDataBytes {
		return entry{}, tooLarge(e)
	}
	return entry{place: p, event: e}, nil
}

// traceParent starts a trace, one for each chain of events. Its ids derive from the chain's first event, so that a second
// handling gets the same ones.
func traceParent(correlationID string) string {
	sum := sha256.Sum256([]byte(correlationID))
	return fmt.Sprintf("00-%x-%x-01", sum[:16], sum[16:24])
}

func (c Commit) applyGuards(out []entry) error {
	done := map[string]bool{}
	for i := range out {
		noun := out[i].place.noun
		if !c.guarded(noun) || done[noun] {
			continue
		}
		done[noun] = true
		g := slices.IndexFunc(c.Guards, func(g Guard) bool { return g.Noun == noun })
		if g < 0 {
			return fmt.Errorf("%s announces %s without a guard on %s: its handler must be registered with one", c.Function, out[i].event.Type, noun)
		}
		if failpoint.Keeps(failpoint.Guard) {
			out[i].expect, out[i].sequence = guardText(c.Pipeline, noun), c.Guards[g].Sequence
		}
	}
	return nil
}

func tooLarge(e events.Envelope) error {
	return fmt.Errorf("the data of %s has %d bytes; an event carries at most %d: put the bytes into the artifact store and refer to them", e.Type, len(e.Data), events.MaxDataBytes)
}

// Events returns the events that the commit would append, without time and sequence.
func (c Commit) Events() ([]events.Envelope, error) {
	entries, err := c.entries()
	if err != nil {
		return nil, err
	}
	out := make([]events.Envelope, len(entries))
	for i, e := range entries {
		out[i] = e.event
	}
	return out, nil
}

// ErrReadOnly means that an append was tried on a read-only log.
var ErrReadOnly = errors.New("this log is read-only")

// ReadOnly returns the same log without the right to append.
func (l *Log) ReadOnly() *Log {
	out := *l
	out.readOnly = true
	return &out
}

// commit sends until the server accepts or refuses.
func (l *Log) commit(ctx context.Context, entries []entry) (Appended, error) {
	if l.readOnly {
		return Appended{}, ErrReadOnly
	}
	backoff, began := 20*time.Millisecond, time.Now()
	for {
		if err := l.degraded(); err != nil {
			return Appended{}, fmt.Errorf("append %s to the event log: %w", entries[0].event.Type, err)
		}
		sequence, err := l.send(ctx, entries)
		switch verdict(err) {
		case done:
			l.lastFailure.note(nil)
			out := make([]events.Envelope, len(entries))
			now := time.Now().UTC()
			for i, e := range entries {
				out[i] = e.event
				out[i].Time = now
				out[i].Sequence = sequence - uint64(len(entries)-1-i)
			}
			return Appended{Events: out}, nil
		case lookUp:
			if l.announces { // what is refused is in the log already: its cause is its own
				return Appended{Duplicate: true}, nil
			}
			found, again, err := l.find(ctx, entries)
			if err != nil || !again {
				return found, err
			}
			continue
		case sendAgain:
			if no := l.denied.since(began); no != nil {
				return Appended{}, fmt.Errorf("append %s to the event log: %w", entries[0].event.Type, no)
			}
			err = l.explainTimeout(ctx, began, err)
			l.logger.WarnContext(ctx, "the event log did not answer; the commit is sent again", "error", err, "after", backoff)
		default:
			if err = explain(err); errors.Is(err, ErrDiskFull) {
				l.lastFailure.note(err)
			}
			return Appended{}, fmt.Errorf("append %s to the event log: %w", entries[0].event.Type, err)
		}
		select {
		case <-ctx.Done():
			if !errors.Is(err, ErrNotStored) {
				err = fmt.Errorf("%w (last answer: %w)", context.Cause(ctx), err)
			}
			return Appended{}, fmt.Errorf("append %s to the event log: %w", entries[0].event.Type, err)
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// send returns the sequence of the commit's last message.
func (l *Log) send(ctx context.Context, entries []entry) (uint64, error) {
	msgs := make([]*nats.Msg, len(entries))
	for i, e := range entries {
		m := encode(e.place.subject(), e.event)
		if e.expect != "" {
			m.Header[expectSequence] = []string{strconv.FormatUint(e.sequence, 10)}
			m.Header[expectSubject] = []string{e.expect}
		}
		if len(entries) > 1 {
			m.Header[commitHeader] = []string{indexOf{i + 1, len(entries)}.String()}
		}
		msgs[i] = m
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if len(msgs) == 1 {
		failpoint.Hit("append.before")
		ack, err := l.js.PublishMsg(ctx, msgs[0])
		if err != nil {
			return 0, err
		}
		failpoint.Hit("append.after")
		return ack.Sequence, nil
	}
	select {
	case l.batches <- struct{}{}:
		defer func() { <-l.batches }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	failpoint.Hit("batch.before")
	ack, err := jetstreamext.PublishMsgBatch(ctx, l.js, msgs)
	if err != nil {
		return 0, err
	}
	failpoint.Hit("batch.after")
	return ack.Sequence, nil
}

// find interprets a refusal: either the commit's record exists, or something else has moved. When only unreadable records
// are where the record should be, the commit is to be sent again, after them.
func (l *Log) find(ctx context.Context, entries []entry) (a Appended, again bool, err error) {
	i := slices.IndexFunc(entries, func(e entry) bool { return e.first })
	if i < 0 {
		return Appended{}, false, ErrMoved
	}
	e := &entries[i]
	found, unreadable, err := l.record(ctx, e.place.record())
	switch {
	case err != nil:
		return Appended{}, false, fmt.Errorf("look for the record of %s: %w", e.place.function, err)
	case len(found) > 0:
		return Appended{Events: found, Duplicate: true}, false, nil
	case e.expect == e.place.record() && unreadable > e.sequence:
		e.sequence = unreadable
		return Appended{}, true, nil
	}
	return Appended{}, false, ErrMoved
}

// Record returns the events of a handling or origin, none if it has not been committed. The leader is asked.
func (l *Log) Record(ctx context.Context, pipeline, function, cause string) ([]events.Envelope, error) {
	found, _, err := l.record(ctx, place{pipeline: pipeline, function: function, cause: cause}.record())
	if err != nil {
		return nil, fmt.Errorf("look for the record of %s: %w", function, err)
	}
	return found, nil
}

// record returns the events that the filter matches, and the sequence of the last unreadable record among them.
func (l *Log) record(ctx context.Context, filter string) (found []events.Envelope, unreadable uint64, err error) {
	for from := uint64(1); ; {
		r, ok, err := l.next(ctx, filter, from)
		switch {
		case err != nil:
			return nil, 0, err
		case !ok:
			return found, unreadable, nil
		case r.Unreadable != "":
			l.skip(ctx, r)
			unreadable = r.Sequence
		default:
			found = append(found, r.Envelope)
		}
		from = r.Sequence + 1
	}
}

type answer int

const (
	done answer = iota
	lookUp
	sendAgain
	failed
)

// verdict is the table of refusals, see doc.go.
func verdict(err error) answer {
	if err == nil {
		return done
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case 10071, 10164, 10077:
			return lookUp
		case 10176, 10210, 10008, 10009: // abandoned batch, too many batches, no leader, not available
			return sendAgain
		}
		if api.Code == 503 && api.ErrorCode != 10047 && api.ErrorCode != 10023 {
			return sendAgain
		}
		return failed
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, jetstreamext.ErrInvalidBatchAck):
		return sendAgain
	}
	return failed
}

// explain adds what a person can do about a refusal that is permanent.
func explain(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case 10047, 10023:
			return fmt.Errorf("%w: free disk space on the NATS server or raise its limit: %w", ErrDiskFull, err)
		}
	}
	return err
}
