package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/shared/eventlog"
	"millrace.dev/triggers"
)

// Options of a relay. Zero fields have the defaults that are named.
type Options struct {
	// Broker is the URL of the broker's ingress.
	Broker string
	// Triggers select each function's events; the embedded ones when nil.
	Triggers []triggers.Trigger
	// Window bounds the events of a lane that are under way; 256.
	Window int
	// Attempts after which an event without a record is a dead letter; 6.
	Attempts int
	// First is the pause after an event was sent, one minute; each later one
	// is four times as long, up to Max, ten minutes. It should be longer than
	// most handlings take, a start from zero included.
	First, Max time.Duration
	Logger     *slog.Logger
	Metrics    prometheus.Registerer
	// Client sends the requests; one with a timeout by default.
	Client *http.Client
}

const (
	// sendTimeout bounds one request to the broker. It is well below ackWait,
	// after which JetStream redelivers an unanswered message.
	sendTimeout = 10 * time.Second
	ackWait     = 30 * time.Second
	// senders are the requests that a lane has under way at a time.
	senders = 16
)

func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.Broker)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return o, fmt.Errorf("the broker %q is not an HTTP URL, such as http://broker-ingress.knative-eventing.svc.cluster.local/millrace/default", o.Broker)
	}
	if o.Triggers == nil {
		if o.Triggers, _, err = triggers.Embedded(); err != nil {
			return o, err
		}
	}
	if o.Client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is documented to be one
		t.MaxIdleConnsPerHost = senders * len(o.Triggers)
		o.Client = &http.Client{Transport: t, Timeout: sendTimeout}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	orDefault(&o.Window, 256)
	orDefault(&o.Attempts, 6)
	orDefault(&o.First, time.Minute)
	orDefault(&o.Max, 10*time.Minute)
	return o, nil
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// pause is how long to wait for the record after the nth sending.
func (o Options) pause(n int) time.Duration {
	d := o.First
	for range n - 1 {
		if d *= 4; d >= o.Max {
			return o.Max
		}
	}
	return min(d, o.Max)
}

// Relay forwards the log to a broker. It is safe for concurrent use.
type Relay struct {
	log     *eventlog.Log
	options Options
	broker  *broker
	metrics *metrics
	lanes   map[string]*lane
	logger  *slog.Logger
}

// New makes a relay over the log. Run starts it.
func New(log *eventlog.Log, o Options) (*Relay, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Relay{log: log, options: o, logger: o.Logger, metrics: newMetrics(o.Metrics), lanes: map[string]*lane{}}
	r.broker = &broker{url: o.Broker, client: o.Client}
	for _, t := range o.Triggers {
		if !hearsTheLog(t) {
			continue
		}
		if r.lanes[t.Function] != nil {
			return nil, fmt.Errorf("two triggers have the subscriber %s: the relay keeps one record for each function and event", t.Function)
		}
		r.lanes[t.Function] = newLane(r, t)
	}
	if len(r.lanes) == 0 {
		return nil, errors.New("no trigger matches events of the log: there is nothing to forward")
	}
	return r, nil
}

// hearsTheLog reports whether an event of the log can match the trigger. The
// gateway's matches only events from elsewhere.
func hearsTheLog(t triggers.Trigger) bool {
	return len(t.Types) > 0 || t.Matches(map[string]string{"via": "log"})
}

// Run forwards until ctx ends, then waits for the running requests. The next
// run continues with the events that are left on the lanes.
func (r *Relay) Run(ctx context.Context) error {
	last, err := r.log.Last(ctx)
	if err != nil {
		return err
	}
	floor := last
	for _, l := range r.lanes {
		at, err := l.open(ctx)
		if err != nil {
			return err
		}
		floor = min(floor, at)
	}
	if err := r.recall(ctx, floor); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(r.lanes)+1)
	var running sync.WaitGroup
	// Newer records are followed; older ones are looked up.
	running.Go(func() { failed <- r.follow(ctx, last+1) })
	running.Go(func() { r.measure(ctx) })
	for _, l := range r.lanes {
		running.Go(func() { failed <- l.run(ctx) })
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	cancel()
	running.Wait()
	return err
}

// Ready returns why the log cannot be reached, nil if it can. An unreachable
// broker does not count: restarting the relay would not help.
func (r *Relay) Ready(ctx context.Context) error { return r.log.Ready(ctx) }

// durable is the name of a function's consumer.
func durable(function string) string { return "relay-" + function }
