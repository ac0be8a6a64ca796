package onnx

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"millrace.dev/shared/apart"
)

// ScoreTask scores batches in a process of its own: see OpenApart.
var ScoreTask = apart.Task{Name: "score-model", Do: serveScores}

// Scorer is a model that is loaded in a process of its own. It is for one goroutine. What brings the process down, or
// takes more memory than is allowed, is a *RefusedError.
type Scorer struct {
	path      string
	memory    uint64
	process   *apart.Conversation
	in        *bufio.Writer
	encode    *gob.Encoder
	decode    *gob.Decoder
	signature Signature
	ended     error // of the process
}

// scoreRequest is what a Scorer hands to its process: first the model, then contracts and batches.
type scoreRequest struct {
	Library, Model string
	Options        Options
	Contract       *Contract
	Batch          *Batch
}

// scoreAnswer is what comes back for each.
type scoreAnswer struct {
	Failure   string
	Signature *Signature
	Scores    *Scores
}

// OpenApart opens the model at path in a process of its own, which ends with ctx or Close. What is wrong with the model is
// a *RefusedError.
func OpenApart(ctx context.Context, path string, opts Options) (*Scorer, error) {
	command, err := ScoreTask.Command()
	if err != nil {
		return nil, err
	}
	library, err := loadedLibrary()
	if err != nil {
		return nil, err
	}
	model, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Scorer{path: path, memory: memoryFor(filepath.Dir(model))}
	if s.process, err = apart.Start(ctx, command); err != nil {
		return nil, fmt.Errorf("load model %s in a process of its own: %w", path, err)
	}
	s.in = bufio.NewWriterSize(s.process.In, 64<<10)
	s.encode, s.decode = gob.NewEncoder(s.in), gob.NewDecoder(s.process.Out)
	if a, err := s.ask(ctx, scoreRequest{Library: library, Model: model, Options: opts}); err != nil {
		if a.Failure != "" {
			err = &RefusedError{path, a.Failure}
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ask hands a request over and returns the answer. A process that does not answer until ctx ends is killed.
func (s *Scorer) ask(ctx context.Context, r scoreRequest) (a scoreAnswer, err error) {
	if s.ended != nil {
		return a, s.ended
	}
	stop := context.AfterFunc(ctx, s.process.Close)
	defer stop()
	if err = s.encode.Encode(r); err == nil {
		err = s.in.Flush()
	}
	if err == nil {
		err = s.decode.Decode(&a)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		s.ended = context.Cause(ctx)
		return a, s.ended
	case err != nil:
		s.ended = s.died()
		return a, s.ended
	case a.Failure != "":
		return a, errors.New(a.Failure)
	}
	if a.Signature != nil {
		s.signature = *a.Signature
	}
	return a, nil
}

func (s *Scorer) died() error {
	err := s.process.Death()
	if died, ok := errors.AsType[*apart.DiedError](err); ok {
		return &RefusedError{s.path, whyDied(died, s.memory)}
	}
	return err
}

// Signature is as of the last Check.
func (s *Scorer) Signature() Signature { return s.signature }

// Check does what Model.Check does.
func (s *Scorer) Check(c Contract) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*measureTime)
	defer cancel()
	_, err := s.ask(ctx, scoreRequest{Contract: &c})
	return err
}

// Score does what Model.Score does. When ctx ends the process ends.
func (s *Scorer) Score(ctx context.Context, b *Batch, out *Scores) error {
	a, err := s.ask(ctx, scoreRequest{Batch: b})
	if err != nil {
		return err
	}
	if a.Scores == nil {
		return errors.New("the process that scores has answered without scores")
	}
	*out = *a.Scores
	return nil
}

// Close ends the process.
func (s *Scorer) Close() error {
	s.process.Close()
	if s.ended == nil {
		s.ended = ErrClosed
	}
	return nil
}

// serveScores is the other end of a Scorer.
func serveScores(ctx context.Context, in io.Reader, out io.Writer) error {
	requests, answers := gob.NewDecoder(bufio.NewReader(in)), bufio.NewWriterSize(out, 64<<10)
	encode := gob.NewEncoder(answers)
	var m *Model
	for {
		var r scoreRequest
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what to score: %w", err)
		}
		var a scoreAnswer
		var err error
		switch {
		case m == nil:
			m, err = r.open()
		case r.Contract != nil:
			err = m.Check(*r.Contract)
		case r.Batch != nil:
			a.Scores = &Scores{}
			err = m.Score(ctx, r.Batch, a.Scores)
		}
		if err != nil {
			a = scoreAnswer{Failure: err.Error()}
		} else if r.Batch == nil {
			signature := m.Signature()
			a.Signature = &signature
		}
		if err := errors.Join(encode.Encode(a), answers.Flush()); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// open confines the process to the model and loads it.
func (r scoreRequest) open() (*Model, error) {
	if err := Init(r.Library); err != nil {
		return nil, err
	}
	folder := filepath.Dir(r.Model)
	limits := apart.Limits{Memory: memoryFor(folder), FileBytes: 1 << 20, Files: 1024, Read: []string{folder, filepath.Dir(r.Library)}}
	if err := apart.Confine(limits); err != nil {
		return nil, err
	}
	return Open(r.Model, r.Options)
}
