package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/events"
)

// Filter chooses events. Zero fields choose all.
type Filter struct {
	Pipeline string
	// Types are CloudEvents types.
	Types []string
	// From is the first sequence, To the last one, 0 for the newest.
	From, To uint64
}

func (f Filter) subject() string {
	if len(f.Types) != 1 {
		return pipelineFilter(f.Pipeline)
	}
	pipeline := f.Pipeline
	if pipeline == "" {
		pipeline = "*"
	}
	noun, past := events.Words(f.Types[0])
	return root + "." + pipeline + "." + noun + "." + past + ".>"
}

func (f Filter) wants(e events.Envelope) bool {
	return len(f.Types) == 0 || slices.Contains(f.Types, e.Type)
}

// readBatch is how many events a reader has under way.
const readBatch = 500

// Recorded is an event as it stands in the log.
type Recorded struct {
	events.Envelope
	// Place is the event's subject in the log.
	Place string
	// Index is the event's place in its commit, from 1, and More how many
	// events of the same commit follow. A commit of one has the index 1.
	Index, More int
}

func recorded(e events.Envelope, place string, header nats.Header) Recorded {
	at := commitPlace(header)
	return Recorded{Envelope: e, Place: place, Index: max(1, at.index), More: at.more()}
}

// Next gives the first event of the pipeline (of all for "") at or after the
// sequence, and false when there is none. The leader is asked: false means
// that there was none when it answered, so this is for deciding.
func (l *Log) Next(ctx context.Context, pipeline string, from uint64) (Recorded, bool, error) {
	return l.next(ctx, pipelineFilter(pipeline), from)
}

func (l *Log) next(ctx context.Context, filter string, from uint64) (r Recorded, found bool, err error) {
	question, err := json.Marshal(struct {
		Seq     uint64 `json:"seq"`
		NextFor string `json:"next_by_subj"`
	}{max(1, from), filter})
	if err != nil {
		return Recorded{}, false, err
	}
	ask := l.askLeader
	if l.own {
		ask = l.askOwn
	}
	err = l.persist(ctx, func(ctx context.Context) (err error) {
		r, found, err = ask(ctx, question)
		return err
	})
	if err != nil {
		err = fmt.Errorf("read the event log: %w", err)
	}
	return r, found, err
}

// Where one event is asked for: of the leader, and of any replica.
const (
	getSubject    = "$JS.API.STREAM.MSG.GET." + Stream
	directSubject = "$JS.API.DIRECT.GET." + Stream
)

// askLeader puts a question that only the stream's leader answers.
func (l *Log) askLeader(ctx context.Context, question []byte) (Recorded, bool, error) {
	m, err := l.nc.RequestWithContext(ctx, getSubject, question)
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
	header, err := nats.DecodeHeadersMsg(answer.Message.Header)
	if err != nil {
		return Recorded{}, false, fmt.Errorf("event %d of the log: %w", answer.Message.Sequence, err)
	}
	e, err := stored(header, answer.Message.Data, answer.Message.Sequence, answer.Message.Time)
	return recorded(e, answer.Message.Subject, header), err == nil, err
}

// askOwn puts the question to the process's own server, whose direct answer is
// the leader's and takes a third of the time.
func (l *Log) askOwn(ctx context.Context, question []byte) (Recorded, bool, error) {
	m, err := l.nc.RequestWithContext(ctx, directSubject, question)
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
		return Recorded{}, false, fmt.Errorf("the time of event %d of the log: %w", sequence, err)
	}
	e, err := stored(m.Header, m.Data, sequence, at)
	return recorded(e, m.Header.Get(jetstream.SubjectHeader), m.Header), err == nil, err
}

// Read gives the committed events in order, up to the newest at the time of
// the call. It reads from any replica: for finding, not for deciding.
func (l *Log) Read(ctx context.Context, f Filter) iter.Seq2[events.Envelope, error] {
	return func(yield func(events.Envelope, error) bool) {
		for r, err := range l.Recorded(ctx, f) {
			if !yield(r.Envelope, err) {
				return
			}
		}
	}
}

// Recorded is Read with the events' places in their commits.
func (l *Log) Recorded(ctx context.Context, f Filter) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		if err := l.read(ctx, f, yield); err != nil {
			yield(Recorded{}, fmt.Errorf("read the event log: %w", err))
		}
	}
}

// read walks the log to its end, and goes on where it was when a server that
// it reads from ends meanwhile.
func (l *Log) read(ctx context.Context, f Filter, yield func(Recorded, error) bool) error {
	ends := time.Now().Add(readPatience)
	for {
		from := f.From
		err := l.walk(ctx, &f, yield)
		if f.From > from {
			ends = time.Now().Add(readPatience)
		}
		if !disturbed(err) || ctx.Err() != nil || time.Now().After(ends) {
			return err
		}
		l.logger.DebugContext(ctx, "reading the event log was disturbed; reading on", "error", err, "from", f.From)
	}
}

// disturbed tells whether a reader was lost, and another can read on.
func disturbed(err error) bool {
	return errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, jetstream.ErrConnectionClosed) || errors.Is(err, jetstream.ErrServerShutdown) || errors.Is(err, nats.ErrNoResponders)
}

// walk reads with a consumer that lives as long as the walk: a direct get
// counts the messages that follow at each request, which takes long in a log
// of many subjects. f.From goes along.
func (l *Log) walk(ctx context.Context, f *Filter, yield func(Recorded, error) bool) error {
	var c jetstream.Consumer
	err := l.persist(ctx, func(ctx context.Context) (err error) {
		c, err = l.js.CreateConsumer(ctx, Stream, jetstream.ConsumerConfig{
			FilterSubject: f.subject(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(1, f.From),
			AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readIdle,
		})
		return err
	})
	if err != nil {
		return err
	}
	defer l.forget(c)
	if c.CachedInfo().NumPending == 0 {
		return nil
	}
	it, err := c.Messages(jetstream.PullMaxMessages(readBatch), jetstream.PullHeartbeat(readHeartbeat))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if f.To > 0 && meta.Sequence.Stream > f.To {
			return nil
		}
		e, err := FromMessage(m)
		if err != nil {
			return err
		}
		if f.wants(e) && !yield(recorded(e, m.Subject(), m.Headers()), nil) {
			return nil
		}
		if meta.NumPending == 0 {
			return nil
		}
		f.From = meta.Sequence.Stream + 1
	}
}

// readHeartbeat is how often the server says that it is there while a reader
// waits; twice that without a word, and the reader is lost.
const readHeartbeat = 2 * time.Second

// readIdle is after how long the server forgets a reader that died.
const readIdle = 30 * time.Second

// forget deletes a reader's consumer; one that stays is forgotten by the server.
func (l *Log) forget(c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	if err := l.js.DeleteConsumer(ctx, Stream, c.CachedInfo().Name); err != nil {
		l.logger.DebugContext(ctx, "a reader of the event log was not deleted", "error", err)
	}
}

// Follow gives the committed events in order and waits for more, until ctx
// ends. A lost connection is taken up where it broke.
func (l *Log) Follow(ctx context.Context, f Filter) iter.Seq2[events.Envelope, error] {
	return func(yield func(events.Envelope, error) bool) {
		var c jetstream.Consumer
		err := l.persist(ctx, func(ctx context.Context) (err error) {
			c, err = l.js.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
				FilterSubjects: []string{f.subject()}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(1, f.From),
			})
			return err
		})
		if err != nil {
			yield(events.Envelope{}, fmt.Errorf("follow the event log: %w", err))
			return
		}
		it, err := c.Messages()
		if err != nil {
			yield(events.Envelope{}, fmt.Errorf("follow the event log: %w", err))
			return
		}
		stop := context.AfterFunc(ctx, it.Stop)
		defer stop()
		defer it.Stop()
		for {
			m, err := it.Next()
			if ctx.Err() != nil || errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				return
			}
			if err != nil {
				yield(events.Envelope{}, fmt.Errorf("follow the event log: %w", err))
				return
			}
			e, err := FromMessage(m)
			if err == nil && !f.wants(e) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// FromMessage reads an event that a consumer of the log delivered.
func FromMessage(m jetstream.Msg) (events.Envelope, error) {
	meta, err := m.Metadata()
	if err != nil {
		return events.Envelope{}, fmt.Errorf("a delivery of the log: %w", err)
	}
	return stored(m.Headers(), m.Data(), meta.Sequence.Stream, meta.Timestamp)
}

// Find gives the pipeline's event with the id, or whose id begins with it,
// and false if the log does not have it. It reads the pipeline's log.
func (l *Log) Find(ctx context.Context, pipeline, id string) (events.Envelope, bool, error) {
	for e, err := range l.Read(ctx, Filter{Pipeline: pipeline}) {
		if err != nil {
			return events.Envelope{}, false, err
		}
		if len(id) >= 6 && len(e.ID) >= len(id) && e.ID[:len(id)] == id {
			return e, true, nil
		}
	}
	return events.Envelope{}, false, nil
}

// Last is the sequence of the newest event of the log, asked of the leader; 0
// if it is empty.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	_, info, err := l.stream(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("read the event log: %w", err)
	}
	return info.State.LastSeq, nil
}
