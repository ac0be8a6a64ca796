package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/httperror"
)

// handler answers a request, or returns why it cannot.
type handler func(w http.ResponseWriter, r *http.Request) error

// commitWithin bounds how long an answer waits for the event log.
const commitWithin = 60 * time.Second

// troubledWithin bounds it while the event log is known to store nothing.
const troubledWithin = 10 * time.Second

// middleware wraps a handler: it ends requests whose sender is silent, turns a panic into an answer, and reports errors to the client, the
// metrics and the log.
func (f *F) middleware(h handler, write func(*httperror.Error, http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w), patience: f.cfg.IdleTimeout}
		err := f.recovered(h, w, r)
		if err == nil {
			return
		}
		answer := errorOf(err)
		f.metrics.refusals.WithLabelValues(strconv.Itoa(answer.Status)).Inc()
		if answer.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
			f.deps.Logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", answer.Status, "error", err)
		}
		write(answer, w)
	})
}

func (f *F) recovered(h handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // the very value that net/http panics with
			panic(v)
		}
		f.metrics.panics.Inc()
		f.deps.Logger.ErrorContext(r.Context(), "request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		err = httperror.New(http.StatusInternalServerError, "Millrace failed to handle this request").Try("the log of the gateway has the details")
	}()
	return h(w, r)
}

// patientBody is a request's body whose every read must end in time, and which
// must arrive at some rate.
type patientBody struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
	began    time.Time
	read     int64
}

// bodyRate is how many bytes a second must arrive on average, beyond the patience.
const bodyRate = 1 << 10

func (b *patientBody) Read(p []byte) (int, error) {
	now := time.Now()
	if b.began.IsZero() {
		b.began = now
	}
	quiet, slow := now.Add(b.patience), b.began.Add(b.patience+time.Duration(b.read/bodyRate)*time.Second)
	late := slow.Before(quiet)
	if late {
		quiet = slow
	}
	_ = b.control.SetReadDeadline(quiet) // a server that cannot set deadlines has its own
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && late:
		err = httperror.New(http.StatusRequestTimeout, "the body arrives too slowly: after %s at least %d bytes a second are expected", b.patience, bodyRate)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = httperror.New(http.StatusRequestTimeout, "no bytes arrived for %s", b.patience)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = httperror.New(http.StatusBadRequest, "the body is shorter than its announced length")
	case errors.Is(err, io.EOF):
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// readBody reads a whole body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return b, nil
}

// committing is the context of an append: it does not end when the sender goes
// away, so that nothing is left half emitted, but it ends.
func (f *F) committing(ctx context.Context) (context.Context, context.CancelFunc) {
	within := commitWithin
	if f.deps.Log.Degraded() != nil {
		within = troubledWithin
	}
	return context.WithTimeout(context.WithoutCancel(ctx), within)
}

func (f *F) unknownPath(_ http.ResponseWriter, r *http.Request) error {
	e := httperror.New(http.StatusNotFound, "there is nothing at %s %s", r.Method, r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/replay") {
		return e.Try("a replay needs the program replay and, here, MILLRACE_REPLAY; see deploy/replay")
	}
	return e
}

// contextUntil ends when done is closed, too.
func contextUntil(ctx context.Context, done <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
