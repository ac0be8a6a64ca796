package outcome

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace.dev/shared/eventlog"
)

// Tails keeps the last lines of the logs of runs under way, in a KV bucket
// beside the event log: a pod that is evicted or runs into its deadline takes
// its log with it. What lies there may be lost, and costs a reason its lines.
type Tails struct{ kv jetstream.KeyValue }

// tailsKept is how long a tail outlives the last word of its run.
const tailsKept = 7 * 24 * time.Hour

// OpenTails opens the bucket beside the log, and makes it.
func OpenTails(ctx context.Context, log *eventlog.Log) (*Tails, error) {
	replicas, err := log.Replicas(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := log.JetStream().CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: "TAILS", Description: "The last lines of the logs of runs under way", History: 1, TTL: tailsKept, Replicas: replicas,
	})
	if err != nil {
		return nil, err
	}
	return &Tails{kv}, nil
}

// Keep keeps the newest lines of a run in the place of older ones.
func (t *Tails) Keep(ctx context.Context, pipeline, run, tail string) error {
	_, err := t.kv.PutString(ctx, pipeline+"."+run, tail)
	return err
}

// Get gives what was kept of a run last, "" if nothing was.
func (t *Tails) Get(ctx context.Context, pipeline, run string) (string, error) {
	e, err := t.kv.Get(ctx, pipeline+"."+run)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(e.Value()), nil
}
