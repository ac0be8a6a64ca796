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
	"time"
)

// handler answers a request, or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// commitWithin bounds how long an answer waits for the event log.
const commitWithin = 60 * time.Second

// troubledWithin bounds it while the event log is known to store nothing.
const troubledWithin = 10 * time.Second

// door stands before every handler: it lets in who may come in, sees that a
// silent sender does not hold a connection, and writes down what went wrong.
func (f *F) door(h handler, write func(http.ResponseWriter, *problem)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f.authorized(r)
		if err == nil {
			r.Body = &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w), patience: f.cfg.IdleTimeout}
			err = f.recovered(h, w, r)
		}
		if err == nil {
			return
		}
		p := problemOf(err)
		f.metrics.refusals.WithLabelValues(strconv.Itoa(p.status)).Inc()
		if p.status >= http.StatusInternalServerError && r.Context().Err() == nil {
			f.Logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", p.status, "error", err)
		}
		if p.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="millrace"`)
		}
		if p.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		write(w, p)
	})
}

func (f *F) authorized(r *http.Request) error {
	if !f.token.Admits(r) {
		return refuse(http.StatusUnauthorized, "this needs the installation's token").try("send the header Authorization: Bearer <token>, or set MILLRACE_TOKEN for the command")
	}
	return nil
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
		f.Logger.ErrorContext(r.Context(), "request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		err = refuse(http.StatusInternalServerError, "this request met a mistake in Millrace").try("the log of the gateway has the details")
	}()
	return h(w, r)
}

// patientBody is a request's body of which each read must end in time.
type patientBody struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
}

func (b *patientBody) Read(p []byte) (int, error) {
	// A server that cannot set deadlines has its own.
	_ = b.control.SetReadDeadline(time.Now().Add(b.patience))
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = refuse(http.StatusRequestTimeout, "nothing came for %s", b.patience)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = refuse(http.StatusBadRequest, "the body ended before its announced end")
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
// away, so that nothing is left half announced, but it ends.
func (f *F) committing(ctx context.Context) (context.Context, context.CancelFunc) {
	within := commitWithin
	if f.Log.Trouble() != nil {
		within = troubledWithin
	}
	return context.WithTimeout(context.WithoutCancel(ctx), within)
}

func (f *F) unknownPath(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "there is nothing at %s %s", r.Method, r.URL.Path)
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
