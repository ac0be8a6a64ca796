package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
	"millrace.dev/shared/failpoint"
)

// AppendForeign appends an event from outside as it is, with its own id, source and type. An event with the same
// source, id and type as an earlier one is a duplicate. It has no precondition of its own: an event of a guarded noun
// is appended after the newest event of its noun. It still carries the guard, so that a concurrent decision conflicts
// with it.
func (l *Log) AppendForeign(ctx context.Context, e events.Envelope) (Appended, error) {
	if e.Pipeline == "" {
		e.Pipeline = events.NoPipeline
	}
	if err := tokenMistake("pipeline", e.Pipeline); err != nil {
		return Appended{}, err
	}
	if len(e.Data) > events.MaxDataBytes {
		return Appended{}, tooLarge(e)
	}
	if e.CorrelationID == "" {
		e.CorrelationID = e.ID
	}
	noun, past := events.Words(e.Type)
	p := place{e.Pipeline, noun, past, "gateway", events.CauseOf(e.Header), 1}
	if !slices.Contains(GuardedNouns, noun) || !failpoint.Keeps(failpoint.Guard) {
		return l.commit(ctx, []entry{{place: p, event: e, expect: p.record(), first: true}})
	}
	for {
		newest, err := l.newest(ctx, guardText(e.Pipeline, noun))
		if err != nil {
			return Appended{}, err
		}
		// A second one is refused by the subject, which holds one event.
		done, err := l.commit(ctx, []entry{{place: p, event: e, expect: guardText(e.Pipeline, noun), sequence: newest, first: true}})
		if !errors.Is(err, ErrMoved) {
			return done, err
		}
	}
}

// newest returns the sequence of the newest record that the filter matches, 0 if it matches no record. The leader is asked.
func (l *Log) newest(ctx context.Context, filter string) (uint64, error) {
	req, err := json.Marshal(struct {
		LastFor string `json:"last_by_subj"`
	}{filter})
	if err != nil {
		return 0, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64 `json:"seq"`
		} `json:"message"`
	}
	err = l.retry(ctx, func(ctx context.Context) error {
		m, err := l.nc.RequestWithContext(ctx, l.api+getSubject, req)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Error == nil {
			return err
		}
		return answer.Error
	})
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the event log: %w", err)
	}
	return answer.Message.Sequence, nil
}
