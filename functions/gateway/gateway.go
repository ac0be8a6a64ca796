package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function"
)

// Name of the function.
const Name = "gateway"

// Config is what an installation sets.
type Config struct {
	// MaxUpload is the largest upload in bytes.
	MaxUpload int64 `env:"MILLRACE_MAX_UPLOAD" envDefault:"5368709120"`
	// IdleTimeout ends a request whose sender has said nothing for so long.
	IdleTimeout time.Duration `env:"MILLRACE_IDLE_TIMEOUT" envDefault:"30s"`
	// Token, if set, must come with every request as Authorization: Bearer.
	// TokenFile is a file that holds it.
	Token     string `env:"MILLRACE_TOKEN"`
	TokenFile string `env:"MILLRACE_TOKEN_FILE"`
	// Gate makes this process the gate only, where the broker of a cluster and
	// what else runs there send events: nothing else is answered, and no token
	// is asked for. It must not be reached from outside.
	Gate bool `env:"MILLRACE_GATE"`
	// Pipelines is a folder of pipelines to configure, and to look at again and
	// again: a mounted ConfigMap.
	Pipelines string `env:"MILLRACE_PIPELINES"`
	// Inbox says whether events are taken from the NATS subjects millrace.inbox.>.
	Inbox bool `env:"MILLRACE_INBOX" envDefault:"true"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if c.MaxUpload <= 0 {
		errs = append(errs, fmt.Errorf("MILLRACE_MAX_UPLOAD is %d; it must be more than 0", c.MaxUpload))
	}
	if c.IdleTimeout <= 0 {
		errs = append(errs, fmt.Errorf("MILLRACE_IDLE_TIMEOUT is %s; it must be more than 0", c.IdleTimeout))
	}
	if _, err := function.ReadToken(c.Token, c.TokenFile); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// F is the function. It is safe for concurrent use.
type F struct {
	function.Deps
	cfg     Config
	token   function.Token
	metrics *metrics
	started time.Time
	// ending is closed when a server that answers for us shuts down, so that
	// those who follow the log do not hold it up.
	ending    chan struct{}
	endOnce   sync.Once
	watchOnce sync.Once
	inbox     inbox
}

// New makes the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	token, err := function.ReadToken(cfg.Token, cfg.TokenFile)
	if err != nil {
		return nil, err
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if err := deps.Metrics.Register(newDeadLetters(deps.States, deps.Logger)); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", Name, err)
	}
	if cfg.Gate {
		token = function.Token{}
	}
	return &F{Deps: deps, cfg: cfg, token: token, metrics: newMetrics(deps.Metrics), started: time.Now(), ending: make(chan struct{})}, nil
}

// Register registers nothing: the gateway hears no events of the log.
func (f *F) Register(*function.Mux) {}

// Start begins to take events from the inbox, and pipelines from their folder,
// until ctx ends.
func (f *F) Start(ctx context.Context) error {
	if f.cfg.Pipelines != "" {
		d := &folder{f: f, path: f.cfg.Pipelines}
		go d.watch(ctx)
	}
	if !f.cfg.Inbox {
		return nil
	}
	return f.startInbox(ctx)
}

// Stop waits until what was taken from the inbox is done.
func (f *F) Stop(ctx context.Context) error {
	f.end()
	return f.inbox.stop(ctx)
}

func (f *F) end() { f.endOnce.Do(func() { close(f.ending) }) }

// Routes registers what the gateway answers.
func (f *F) Routes(mux *http.ServeMux) {
	text := func(pattern string, h handler) { mux.Handle(pattern, f.door(h, writeText)) }
	json := func(pattern string, h handler) { mux.Handle(pattern, f.door(h, writeProblem)) }

	text("POST /events", f.postEvents)
	text("POST /events/{store}", f.postNotification)
	text("POST /{$}", f.postEvents) // where a Knative broker sends
	for _, pattern := range []string{"OPTIONS /events", "OPTIONS /events/{store}", "OPTIONS /{$}"} {
		text(pattern, f.handshake)
	}
	if f.cfg.Gate {
		return
	}

	json("PUT /uploads/{key...}", f.upload)
	json("DELETE /uploads/{key...}", f.remove)

	json("GET /api/status", f.getStatus)
	json("GET /api/pipelines", f.getPipelines)
	json("GET /api/pipelines/{pipeline}", f.getPipeline)
	json("GET /api/pipelines/{pipeline}/export", f.getExport)
	json("POST /api/import", f.postImport)
	json("GET /api/datasets", f.getDatasets)
	json("GET /api/runs", f.getRuns)
	json("GET /api/models", f.getModels)
	json("GET /api/routes", f.getRoutes)
	json("GET /api/events", f.getEvents)
	json("GET /api/events/{id}", f.getEvent)
	json("GET /api/why/{id...}", f.getWhy)
	json("GET /api/runs/{run}/log", f.getRunLog)
	json("GET /api/deadletters", f.getDeadLetters)
	json("GET /api/deadletters/{id}", f.getDeadLetter)
	json("POST /api/deadletters/{id}/retry", f.retryDeadLetter)
	json("POST /api/deadletters/{id}/drop", f.dropDeadLetter)
	json("POST /api/pipelines/{pipeline}/retrain", ask(f, f.retrain))
	json("POST /api/pipelines/{pipeline}/evaluate", ask(f, f.evaluate))
	json("POST /api/pipelines/{pipeline}/promote", ask(f, f.promote))
	json("POST /api/pipelines/{pipeline}/rollback", ask(f, f.rollback))
	json("PUT /api/pipelines/{pipeline}/models/{name}", f.registerModel)
	json("/api/", f.unknownPath)
}

// announce appends data of an origin to a pipeline, under the gateway's name.
func (f *F) announce(ctx context.Context, pipeline, cause string, data ...events.Data) (events.Envelope, bool, error) {
	done, err := f.append(ctx, pipeline, cause, data...)
	if err != nil {
		return events.Envelope{}, false, err
	}
	return done.Events[0], done.Duplicate, nil
}
