package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/access"
	"millrace.dev/shared/function"
	"millrace.dev/shared/httperror"
)

// Name of the function.
const Name = "gateway"

// Config is what an installation sets.
type Config struct {
	// The largest upload.
	MaxUpload int64 `env:"MILLRACE_MAX_UPLOAD" envDefault:"5368709120" unit:"bytes"`
	// How long a sender may be silent before its request is ended.
	IdleTimeout time.Duration `env:"MILLRACE_IDLE_TIMEOUT" envDefault:"30s"`
	// Take events only, and those of machines without a token: for the broker and
	// whatever else sends events inside a cluster. Such a process must not be
	// reachable from outside.
	Internal bool `env:"MILLRACE_INTERNAL"`
	// The earlier name of MILLRACE_INTERNAL, read for one version.
	Gate bool `env:"MILLRACE_GATE"`
	// A folder of pipelines, such as a mounted ConfigMap. They are configured at
	// the start and again when a file changes.
	Pipelines string `env:"MILLRACE_PIPELINES"`
	// Take events from the NATS subjects millrace.inbox.>.
	Inbox bool `env:"MILLRACE_INBOX" envDefault:"true"`
	// Where the program replay answers, such as http://replay. Replays are passed
	// on to it. Empty where it runs in the same process.
	Replay string `env:"MILLRACE_REPLAY"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	errs := []error{function.AboveZero("MILLRACE_MAX_UPLOAD", c.MaxUpload), function.AboveZero("MILLRACE_IDLE_TIMEOUT", c.IdleTimeout)}
	if c.Replay != "" {
		if _, err := replayURL(c.Replay, resolvConf); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps    function.Deps
	cfg     Config
	metrics *metrics
	started time.Time
	// ending is closed when the function's server shuts down, so that clients
	// that follow the log do not delay it.
	ending    chan struct{}
	endOnce   sync.Once
	watchOnce sync.Once
	inbox     inbox
	replay    *url.URL // nil without MILLRACE_REPLAY
}

// New returns the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if err := deps.Metrics.Register(newUnreadable(deps.Log)); err != nil {
		return nil, err
	}
	if err := deps.Metrics.Register(newDeadLetters(deps.States, deps.Logger)); err != nil {
		return nil, fmt.Errorf("register the metrics of %s: %w", Name, err)
	}
	cfg.Internal = cfg.Internal || cfg.Gate
	f := &F{deps: deps, cfg: cfg, metrics: newMetrics(deps.Metrics), started: time.Now(), ending: make(chan struct{})}
	if cfg.Replay != "" {
		var err error
		if f.replay, err = replayURL(cfg.Replay, resolvConf); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Register registers nothing: the gateway subscribes to no events.
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

// Stop waits until messages taken from the inbox are handled.
func (f *F) Stop(ctx context.Context) error {
	f.end()
	return f.inbox.stop(ctx)
}

func (f *F) end() { f.endOnce.Do(func() { close(f.ending) }) }

// Routes registers the gateway's HTTP routes, each with the roles that it needs.
func (f *F) Routes(mux *access.Mux) {
	text := func(need access.Roles, pattern string, h handler) {
		mux.Handle(need, pattern, f.middleware(h, (*httperror.Error).WriteText))
	}
	json := func(need access.Roles, pattern string, h handler) {
		mux.Handle(need, pattern, f.middleware(h, (*httperror.Error).WriteJSON))
	}

	send := access.Upload | access.Operate | access.InHandler // by type and pipeline: see rights.go
	if f.cfg.Internal {
		send = access.Public
	}
	text(send, "POST /events", f.postEvents)
	text(send, "POST /events/{store}", f.postNotification)
	text(send, "POST /{$}", f.postEvents) // where a Knative broker sends
	for _, pattern := range []string{"OPTIONS /events", "OPTIONS /events/{store}", "OPTIONS /{$}"} {
		text(send, pattern, f.handshake)
	}
	if f.cfg.Internal {
		return
	}

	json(access.Upload|access.InHandler, "PUT /uploads/{key...}", f.upload)
	json(access.Upload|access.InHandler, "DELETE /uploads/{key...}", f.remove)

	json(access.Read, "GET /api/status", f.getStatus)
	json(access.Read, "GET /api/log/unreadable", f.getUnreadable)
	json(access.Read, "GET /api/pipelines", f.getPipelines)
	json(access.Read, "GET /api/pipelines/{pipeline}", f.getPipeline)
	json(access.Read, "GET /api/pipelines/{pipeline}/profile", f.getProfile)
	json(access.Read, "GET /api/pipelines/{pipeline}/export", f.getExport)
	json(access.Admin, "POST /api/import", f.postImport)
	json(access.Read, "GET /api/datasets", f.getDatasets)
	json(access.Read, "GET /api/set-aside", f.getSetAside)
	json(access.Read, "GET /api/pipelines/{pipeline}/set-aside", f.getSetAsideOf)
	json(access.Read, "GET /api/runs", f.getRuns)
	json(access.Read, "GET /api/models", f.getModels)
	json(access.Read, "GET /api/routes", f.getRoutes)
	json(access.Read, "GET /api/schedules", f.getSchedules)
	json(access.Read, "GET /api/events", f.getEvents)
	json(access.Read, "GET /api/events/{id}", f.getEvent)
	json(access.Read, "GET /api/why/{id...}", f.getWhy)
	json(access.Read, "GET /api/runs/{run}/log", f.getRunLog)
	json(access.Read, "GET /api/deadletters", f.getDeadLetters)
	json(access.Read|access.InHandler, "GET /api/deadletters/{id}", f.getDeadLetter)
	json(access.Operate|access.InHandler, "POST /api/deadletters/{id}/retry", f.retryDeadLetter)
	json(access.Operate|access.InHandler, "POST /api/deadletters/{id}/drop", f.dropDeadLetter)
	json(access.Operate, "POST /api/pipelines/{pipeline}/retrain", ask(f, f.retrain))
	json(access.Read, "GET /api/pipelines/{pipeline}/reingest", f.getReingest)
	json(access.Operate, "POST /api/pipelines/{pipeline}/reingest", ask(f, f.reingest))
	json(access.Operate, "POST /api/pipelines/{pipeline}/evaluate", ask(f, f.evaluate))
	json(access.Operate, "POST /api/pipelines/{pipeline}/promote", ask(f, f.promote))
	json(access.Operate, "POST /api/pipelines/{pipeline}/rollback", ask(f, f.rollback))
	json(access.Operate, "PUT /api/pipelines/{pipeline}/models/{name}", f.registerModel)
	if f.replay != nil {
		json(access.Read, "POST "+replayPath, f.forwardReplay(f.replay))
	} // else another function of the process answers it
	json(access.Read|access.InHandler, "/api/", f.unknownPath)
}

// emit appends data of an origin to a pipeline, under the gateway's name.
func (f *F) emit(ctx context.Context, pipeline, cause string, data ...events.Data) (events.Envelope, bool, error) {
	done, err := f.append(ctx, pipeline, cause, data...)
	if err != nil {
		return events.Envelope{}, false, err
	}
	return done.Events[0], done.Duplicate, nil
}
