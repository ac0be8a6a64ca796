package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/shared/httperror"
)

// The causes by which refusals are counted.
const (
	causeNoToken  = "no-token"
	causeWrong    = "wrong-token"
	causeRole     = "role"
	causePipeline = "pipeline"
	causeHost     = "host"
	causeOrigin   = "origin"
)

var causes = []string{causeNoToken, causeWrong, causeRole, causePipeline, causeHost, causeOrigin}

// refusal is why a request is not answered.
type refusal struct {
	cause  string
	answer *httperror.Error
}

func refuse(cause string, answer *httperror.Error) error { return &refusal{cause, answer} }

func (r *refusal) Error() string { return r.answer.Error() }

func (r *refusal) Unwrap() error { return r.answer }

const (
	// penalty is how long the answer to a wrong token waits.
	penalty = 250 * time.Millisecond
	// maxWaiting bounds how many of them wait. Beyond it they are answered at
	// once, by 429.
	maxWaiting = 64
	// quiet is how long a cause is not logged again.
	quiet = time.Minute
)

// refusals counts, logs and slows down what is refused.
type refusals struct {
	logger  *slog.Logger
	total   *prometheus.CounterVec
	waiting chan struct{}

	mu     sync.Mutex
	logged map[string]time.Time
	unsaid map[string]int
}

func newRefusals(logger *slog.Logger, metrics prometheus.Registerer) (*refusals, error) {
	r := &refusals{
		logger: logger, waiting: make(chan struct{}, maxWaiting), logged: map[string]time.Time{}, unsaid: map[string]int{},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_access_refused_total", Help: "Requests that were refused, by cause: no-token, wrong-token, role, pipeline, host or origin.",
		}, []string{"cause"}),
	}
	for _, c := range causes {
		r.total.WithLabelValues(c)
	}
	if metrics == nil {
		return r, nil
	}
	return r, metrics.Register(r.total)
}

// answer counts and logs a refusal, and returns the answer to it, for a wrong
// token after a pause.
func (r *refusals) answer(ctx context.Context, err error, method, path, remote string) *httperror.Error {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		return httperror.New(http.StatusServiceUnavailable, "%v", err)
	}
	r.total.WithLabelValues(no.cause).Inc()
	r.log(ctx, no, method, path, remote)
	if no.cause != causeWrong {
		return no.answer
	}
	select {
	case r.waiting <- struct{}{}:
	default:
		return httperror.New(http.StatusTooManyRequests, "too many requests with wrong tokens").Try("send the right token")
	}
	defer func() { <-r.waiting }()
	pause := time.NewTimer(penalty)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	return no.answer
}

func (r *refusals) log(ctx context.Context, no *refusal, method, path, remote string) {
	r.mu.Lock()
	r.unsaid[no.cause]++
	times := r.unsaid[no.cause]
	if time.Since(r.logged[no.cause]) < quiet {
		r.mu.Unlock()
		return
	}
	r.logged[no.cause], r.unsaid[no.cause] = time.Now(), 0
	r.mu.Unlock()
	r.logger.WarnContext(ctx, "requests are refused", "cause", no.cause, "times", times, "reason", no.answer.Text, "method", method, "path", clip(path), "remote", remote)
}

// clip bounds what a sender can put into a line of the log.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most]
	}
	return s
}
