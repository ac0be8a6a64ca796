package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"millrace.dev/events"
)

// ErrUnreadable marks a record of the stream that is not an event of the log.
var ErrUnreadable = errors.New("this record of the log is not an event")

// Unreadable is a record of the stream that is not an event of the log: a message published past the gateway, or an
// event that cannot be written as JSON again. Readers skip it.
type Unreadable struct {
	Sequence uint64    `json:"sequence"`
	Subject  string    `json:"subject"`
	Time     time.Time `json:"time"`
	// Reason says what is wrong with the record.
	Reason string `json:"reason"`
}

// UnreadableReport lists the records of the log that are not events.
type UnreadableReport struct {
	// Count is the number of unreadable records found so far.
	Count uint64 `json:"count"`
	// Records are the first of them, in the order of the log, at most 1,000.
	Records []Unreadable `json:"records,omitempty"`
	// Checked is the sequence up to which every record was checked, Last that of the newest record.
	Checked uint64 `json:"checked"`
	Last    uint64 `json:"last"`
}

// maxUnreadable bounds the unreadable records that are remembered one by one; further ones are only counted.
const maxUnreadable = 1000

// unreadables are the unreadable records that this process has come across.
type unreadables struct {
	// checking is held by the one check under way.
	checking sync.Mutex

	mu      sync.Mutex
	known   map[uint64]Unreadable
	more    uint64
	checked uint64
}

// note remembers the record and reports whether it is new.
func (u *unreadables) note(r Recorded) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.known[r.Sequence]; known || len(u.known) >= maxUnreadable {
		return false
	}
	if u.known == nil {
		u.known = map[uint64]Unreadable{}
	}
	u.known[r.Sequence] = Unreadable{r.Sequence, r.Place, r.Time, r.Unreadable}
	return true
}

// skip notes an unreadable record, and logs it the first time.
func (l *Log) skip(ctx context.Context, r Recorded) {
	if l.unreadable.note(r) {
		l.logger.WarnContext(ctx, "a record of the event log is not an event and is skipped", "sequence", r.Sequence, "subject", r.Place, "reason", r.Unreadable)
	}
}

// Unreadable returns the records that are not events. Each call checks what has not been checked before, from the
// beginning of the log, for as long as ctx allows: Checked says how far it came.
func (l *Log) Unreadable(ctx context.Context) (UnreadableReport, error) {
	last, err := l.Last(ctx)
	if err != nil {
		return UnreadableReport{}, err
	}
	u := l.unreadable
	u.checking.Lock()
	defer u.checking.Unlock()
	if from := u.checked + 1; from <= last {
		f := Filter{From: from, To: last}
		err = l.read(ctx, &f, func(r Recorded, _ error) bool {
			u.mu.Lock()
			u.checked = r.Sequence
			full := r.Unreadable != "" && len(u.known) >= maxUnreadable
			if _, known := u.known[r.Sequence]; full && !known {
				u.more++
			}
			u.mu.Unlock()
			if r.Unreadable != "" {
				l.skip(ctx, r)
			}
			return true
		})
		if err == nil {
			u.checked = last
		} else if ctx.Err() == nil {
			return UnreadableReport{}, fmt.Errorf("check the event log: %w", err)
		}
	}
	out := l.KnownUnreadable()
	out.Last = last
	return out, nil
}

// KnownUnreadable returns what earlier calls of Unreadable and the readers of
// this process have found. It sends no request.
func (l *Log) KnownUnreadable() UnreadableReport {
	u := l.unreadable
	u.mu.Lock()
	defer u.mu.Unlock()
	records := slices.SortedFunc(maps.Values(u.known), func(a, b Unreadable) int { return int(int64(a.Sequence) - int64(b.Sequence)) })
	return UnreadableReport{Count: uint64(len(records)) + u.more, Records: records, Checked: u.checked}
}

// maxReason bounds the reason of an unreadable record, in bytes.
const maxReason = 500

// recordOf reads a record of the stream. It never fails: what is not an event has a reason in Unreadable, and no more
// than its sequence, time and subject are known.
func recordOf(subject string, header nats.Header, data []byte, sequence uint64, at time.Time) Recorded {
	e, err := stored(header, data, sequence, at)
	if err == nil {
		err = belongs(subject, e)
	}
	if err == nil {
		err = writable(e)
	}
	var position indexOf
	if err == nil {
		position, err = commitPlace(header)
	}
	if err != nil {
		return unreadable(subject, sequence, at, err)
	}
	return Recorded{Envelope: e, Place: subject, Index: position.index, More: position.more()}
}

func unreadable(subject string, sequence uint64, at time.Time, err error) Recorded {
	reason := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\n", "; "), "?")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	r := Recorded{Place: subject, Index: 1, Unreadable: reason}
	r.Sequence, r.Time = sequence, at.UTC()
	return r
}

// belongs checks that the event may be at the subject.
func belongs(subject string, e events.Envelope) error {
	p, err := placeOf(subject)
	if err != nil {
		return err
	}
	noun, past := events.Words(e.Type)
	switch {
	case p.pipeline != e.Pipeline:
		return fmt.Errorf("its attribute pipeline is %.100q, and its subject says %s", e.Pipeline, p.pipeline)
	case p.noun != noun || p.past != past:
		return fmt.Errorf("its type %.100q does not belong at the subject %s", e.Type, subject)
	}
	return nil
}

// maxBrackets is the number of brackets up to which data cannot be nested too deeply for encoding/json, which refuses
// more than 10,000 levels.
const maxBrackets = 5000

// writable checks that the event can be written as JSON, as every list and export does.
func writable(e events.Envelope) error {
	if year := e.Time.Year(); year < 0 || year > 9999 {
		return fmt.Errorf("its time is in the year %d, which JSON cannot express", year)
	}
	if bytes.Count(e.Data, []byte{'['})+bytes.Count(e.Data, []byte{'{'}) <= maxBrackets {
		return nil
	}
	line, err := json.Marshal(e)
	if err == nil {
		// A list wraps the event once more.
		line, err = json.Marshal([]json.RawMessage{line})
	}
	if err == nil && !json.Valid(line) {
		err = errors.New("it is nested too deeply")
	}
	if err != nil {
		return fmt.Errorf("its data cannot be written as JSON: %w", err)
	}
	return nil
}
