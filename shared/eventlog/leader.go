package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Next returns the first record of the pipeline (of all pipelines for "") at or after the sequence, and false when there
// is no such record. The stream's leader is asked, so false holds for the time of its answer: use Next to decide. An unreadable
// record is returned too, with Unreadable set, so that a fold advances past it.
func (l *Log) Next(ctx context.Context, pipeline string, from uint64) (Recorded, bool, error) {
	r, found, err := l.next(ctx, pipelineFilter(pipeline), from)
	if r.Unreadable != "" {
		l.skip(ctx, r)
	}
	return r, found, err
}

func (l *Log) next(ctx context.Context, filter string, from uint64) (r Recorded, found bool, err error) {
	r, found, err = l.get(ctx, getRequest{Sequence: max(1, from), NextFor: filter})
	if err != nil {
		err = fmt.Errorf("read the event log: %w", err)
	}
	return r, found, err
}

// At returns the record at the sequence, and false if no record is there. The leader is asked: false means that there was no
// record when it answered. An unreadable record is returned with Unreadable set.
func (l *Log) At(ctx context.Context, sequence uint64) (r Recorded, found bool, err error) {
	r, found, err = l.get(ctx, getRequest{Sequence: sequence})
	if err != nil {
		err = fmt.Errorf("read event %d of the event log: %w", sequence, err)
	}
	return r, found, err
}

// getRequest asks for the message at the sequence, or for the first one from there on that the filter matches.
type getRequest struct {
	Sequence uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj,omitempty"`
}

// get asks the leader until it answers.
func (l *Log) get(ctx context.Context, request getRequest) (r Recorded, found bool, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return Recorded{}, false, err
	}
	get := l.getFromLeader
	if l.embedded {
		get = l.getDirect
	}
	err = l.retry(ctx, func(ctx context.Context) (err error) {
		r, found, err = get(ctx, body)
		return err
	})
	return r, found, err
}

// The subjects of requests for one message, below the prefix of the API: answered by the leader, and by any replica.
const (
	getSubject    = "STREAM.MSG.GET." + Stream
	directSubject = "DIRECT.GET." + Stream
)

// getFromLeader sends a request that only the stream's leader answers.
func (l *Log) getFromLeader(ctx context.Context, request []byte) (Recorded, bool, error) {
	m, err := l.nc.RequestWithContext(ctx, l.api+getSubject, request)
	if err != nil {
		return Recorded{}, false, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return Recorded{}, false, err
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Recorded{}, false, nil
	case answer.Error != nil:
		return Recorded{}, false, answer.Error
	case answer.Message == nil:
		return Recorded{}, false, errors.New("the server's answer has no message")
	}
	got := answer.Message
	header := nats.Header{}
	if len(got.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(got.Header); err != nil {
			return unreadable(got.Subject, got.Sequence, got.Time, fmt.Errorf("its headers: %w", err)), true, nil
		}
	}
	return recordOf(got.Subject, header, got.Data, got.Sequence, got.Time), true, nil
}

// getDirect sends the request to the embedded server. Its direct answer is the leader's, and takes a third of the time.
func (l *Log) getDirect(ctx context.Context, request []byte) (Recorded, bool, error) {
	m, err := l.nc.RequestWithContext(ctx, l.api+directSubject, request)
	if err != nil {
		return Recorded{}, false, err
	}
	if status := m.Header.Get("Status"); status == "404" {
		return Recorded{}, false, nil
	} else if status != "" {
		return Recorded{}, false, fmt.Errorf("the server answers %s: %s", status, m.Header.Get("Description"))
	}
	sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return Recorded{}, false, fmt.Errorf("the sequence of the server's answer: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return Recorded{}, false, fmt.Errorf("the time of record %d of the log: %w", sequence, err)
	}
	return recordOf(m.Header.Get(jetstream.SubjectHeader), m.Header, m.Data, sequence, at), true, nil
}

// Last returns the sequence of the newest record of the log, asked of the leader; 0 if the log is empty.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	_, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("read the event log: %w", err)
	}
	return info.State.LastSeq, nil
}
