package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrDenied means that the NATS server does not let the program's user write an event.
var ErrDenied = errors.New("the NATS server denies it")

// denied keeps the last denial of the server. NATS does not answer a publish that it denies; it reports it to the
// connection.
type denied struct {
	mu   sync.Mutex
	last error
	at   time.Time
}

// handler returns what a connection calls with the errors that no request gets.
func (d *denied) handler(logger *slog.Logger) nats.ErrHandler {
	if logger == nil {
		logger = slog.Default()
	}
	return func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			d.mu.Lock()
			d.last, d.at = err, time.Now()
			d.mu.Unlock()
		}
		logger.WarnContext(context.Background(), "the NATS server reports an error", "error", err)
	}
}

// since returns the last denial if it came after the time.
func (d *denied) since(began time.Time) error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil || d.at.Before(began) {
		return nil
	}
	return fmt.Errorf("%w: %w; the rights of each program are in accounts.conf", ErrDenied, d.last)
}
