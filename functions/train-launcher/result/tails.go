package result

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
)

// KeepTail keeps the last lines of the log of a run under way, in a KV bucket beside the event log: a pod that is evicted or
// runs into its deadline takes its log with it. If a tail is lost, the failure is reported without log lines.
func KeepTail(ctx context.Context, log *eventlog.Log, pipeline, run, tail string) error {
	return log.Put(ctx, eventlog.Tails, pipeline+"."+run, tail)
}

// Tail returns the lines that were last kept of a run, "" if no lines were kept.
func Tail(ctx context.Context, log *eventlog.Log, pipeline, run string) (string, error) {
	kv, err := log.Bucket(ctx, eventlog.Tails)
	if err != nil {
		return "", err
	}
	e, err := kv.Get(ctx, pipeline+"."+run)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the last lines of the log of run %s: %w", run, err)
	}
	return string(e.Value()), nil
}
