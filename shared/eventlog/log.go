package eventlog

import (
	"context"
	"errors"
	"iter"
	"time"

	"millrace.dev/events"
)

// ErrMoved says that a commit was refused because something it hung on has
// changed: the guarded noun, or an event it wanted to announce first. Fold
// again and decide again.
var ErrMoved = errors.New("the log has moved on")

// Commit is what is appended as one: all of it or nothing.
type Commit struct {
	Pipeline string
	// Function announces. Data that originates (events.Originated) stands
	// under its own function and cause.
	Function string
	// Handled is the event that led here; the cause of the commit is made of
	// it. Zero for an origin, which then needs Cause.
	Handled events.Header
	// Cause of an origin: events.Cause over what makes it one.
	Cause string
	Data  []events.Data
	// Guards are the nouns the decision hangs on.
	Guards []Guard
	// Attributes are added to each event's extensions.
	Attributes map[string]string
}

// Guard holds a commit against the newest event of a noun that the decision saw.
type Guard struct {
	Noun string
	// Sequence is the highest folded sequence of the noun, 0 if there is none.
	Sequence uint64
}

// Appended is the outcome of a commit.
type Appended struct {
	// Events are as they stand in the log. For a duplicate: as they were first
	// committed.
	Events []events.Envelope
	// Duplicate says that the same handling or origin had been committed before.
	Duplicate bool
}

// Append commits. A second commit of the same handling or origin is a success
// with Duplicate set, whatever it would now say. ErrMoved asks to decide again.
// It sends again by itself what the server did not answer.
func (l *Log) Append(ctx context.Context, c Commit) (Appended, error)

// Filter chooses events. Zero fields choose all.
type Filter struct {
	Pipeline string
	// Types are CloudEvents types.
	Types []string
	// From is the first sequence, To the last one, 0 for the newest.
	From, To uint64
}

// Read gives the committed events in order, up to the newest at the time of
// the call. It begins at a direct get: for finding, not for deciding.
func (l *Log) Read(ctx context.Context, f Filter) iter.Seq2[events.Envelope, error]

// Follow gives the committed events in order and waits for more, until ctx ends.
func (l *Log) Follow(ctx context.Context, f Filter) iter.Seq2[events.Envelope, error]

// Find gives the event with the id, false if the log does not have it.
func (l *Log) Find(ctx context.Context, pipeline, id string) (events.Envelope, bool, error)

// Last is the sequence of the newest event of a pipeline (of all for ""),
// asked of the leader; 0 if there is none.
func (l *Log) Last(ctx context.Context, pipeline string) (uint64, error)

// SequenceAt is the sequence of the last event at or before t.
func (l *Log) SequenceAt(ctx context.Context, t time.Time) (uint64, error)

// Pipelines lists the pipelines that have events.
func (l *Log) Pipelines(ctx context.Context) ([]string, error)
