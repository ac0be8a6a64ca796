package demo

import (
	"context"
	"fmt"
	"sync"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

// journal holds the pipeline's events as they arrive.
type journal struct {
	mu      sync.Mutex
	events  []events.Envelope
	err     error
	changed chan struct{} // closed and replaced with each event
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

// follow collects the events from the beginning of the log until ctx ends.
func (j *journal) follow(ctx context.Context, c *client.Client) {
	for e, err := range c.Follow(ctx, client.Query{Pipeline: pipeline, From: 1}) {
		j.mu.Lock()
		if err != nil {
			j.err = err
		} else {
			j.events = append(j.events, e)
		}
		close(j.changed)
		j.changed = make(chan struct{})
		j.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// newest returns a summary of the newest event.
func (j *journal) newest() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.events) == 0 {
		return ""
	}
	return summary.Of(j.events[len(j.events)-1])
}

// after returns the events after a sequence, and a channel that is closed when
// more arrive.
func (j *journal) after(sequence uint64) ([]events.Envelope, <-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := len(j.events)
	for i > 0 && j.events[i-1].Sequence > sequence {
		i--
	}
	return j.events[i:], j.changed, j.err
}

// await waits for the first event of the type after a sequence for which ok is
// true (any event if ok is nil). A dead letter or a failed training after the
// sequence is an error.
func await[D events.Data](ctx context.Context, j *journal, sequence uint64, ok func(events.Event[D]) bool) (events.Event[D], error) {
	var want D
	for seen := sequence; ; {
		es, more, err := j.after(seen)
		for _, e := range es {
			seen = e.Sequence
			if e.Type == want.EventType() {
				d, err := events.Decode[D](e)
				if err != nil {
					return d, err
				}
				if ok == nil || ok(d) {
					return d, nil
				}
			}
			if err := unwanted(e); err != nil {
				return events.Event[D]{}, err
			}
		}
		if err != nil {
			return events.Event[D]{}, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			noun, past := events.Words(want.EventType())
			return events.Event[D]{}, fmt.Errorf("no %s.%s came: %w", noun, past, context.Cause(ctx))
		}
	}
}

// unwanted returns an error for events that a demo must not have.
func unwanted(e events.Envelope) error {
	d, err := events.DecodeData(e)
	if err != nil {
		return nil
	}
	switch d := d.(type) {
	case events.DeadLetterRecorded:
		return fmt.Errorf("a dead letter: %s", summary.Of(e))
	case events.TrainingFailed:
		return fmt.Errorf("training failed: %s; %s; the end of its log: %s", d.Reason, d.Hint, d.LogTail)
	case events.RolloutAborted:
		return fmt.Errorf("a rollout was aborted: %s", d.Reason)
	}
	return nil
}
