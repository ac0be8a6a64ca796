package inference

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/shared/function"
	"millrace.dev/shared/onnx"
)

// Name of the function.
const Name = "inference"

// Config is what an installation sets.
type Config struct {
	// MaxBodyBytes and MaxRows bound a request.
	MaxBodyBytes int64 `env:"MILLRACE_INFERENCE_MAX_BODY_BYTES" envDefault:"8388608"`
	MaxRows      int   `env:"MILLRACE_INFERENCE_MAX_ROWS" envDefault:"10000"`
	// Concurrency is how many requests are worked on at a time; 0 is four per
	// processor. Queue is how many more may wait, QueueWait for how long.
	Concurrency int           `env:"MILLRACE_INFERENCE_CONCURRENCY" envDefault:"0"`
	Queue       int           `env:"MILLRACE_INFERENCE_QUEUE" envDefault:"1000"`
	QueueWait   time.Duration `env:"MILLRACE_INFERENCE_QUEUE_WAIT" envDefault:"500ms"`
	// ReadTimeout is how long a body may take to arrive, Timeout how long its
	// rows may take.
	ReadTimeout time.Duration `env:"MILLRACE_INFERENCE_READ_TIMEOUT" envDefault:"30s"`
	Timeout     time.Duration `env:"MILLRACE_INFERENCE_TIMEOUT" envDefault:"30s"`
	// Pipeline and Version, if set, are all that this process serves, whatever
	// the route says of weights: a revision on a cluster, which splits the
	// traffic before requests come here. It is ready when the version is loaded.
	Pipeline string `env:"MILLRACE_INFERENCE_PIPELINE"`
	Version  int    `env:"MILLRACE_INFERENCE_VERSION"`
	// GRPC is an address that gRPC has for itself beside the common port, "" for
	// none. It is without TLS, and asks for the installation's token if there is one.
	GRPC      string `env:"MILLRACE_INFERENCE_GRPC"`
	Token     string `env:"MILLRACE_TOKEN"`
	TokenFile string `env:"MILLRACE_TOKEN_FILE"`
	// Threads that one request's rows may use.
	Threads int `env:"MILLRACE_INFERENCE_THREADS" envDefault:"1"`
	// SpareVersions is how many versions that are in no route stay loaded.
	SpareVersions int `env:"MILLRACE_INFERENCE_SPARE_VERSIONS" envDefault:"4"`
	// LoadTimeout bounds the loading of one version; ReadyWithin is after how
	// long the function is ready even though a version does not load.
	LoadTimeout time.Duration `env:"MILLRACE_INFERENCE_LOAD_TIMEOUT" envDefault:"5m"`
	ReadyWithin time.Duration `env:"MILLRACE_INFERENCE_READY_WITHIN" envDefault:"1m"`
	// LogRows and LogEvery say when a batch of the prediction log is written;
	// LogEveryCanary while a rollout waits for evidence.
	LogRows        int           `env:"MILLRACE_INFERENCE_LOG_ROWS" envDefault:"5000"`
	LogEvery       time.Duration `env:"MILLRACE_INFERENCE_LOG_EVERY" envDefault:"10s"`
	LogEveryCanary time.Duration `env:"MILLRACE_INFERENCE_LOG_EVERY_CANARY" envDefault:"1s"`
	// LogMemoryBytes bounds the rows in memory, LogDiskBytes the batches on the
	// local disk that wait for the object store or the log. What is beyond is
	// dropped and counted.
	LogMemoryBytes int64 `env:"MILLRACE_INFERENCE_LOG_MEMORY_BYTES" envDefault:"134217728"`
	LogDiskBytes   int64 `env:"MILLRACE_INFERENCE_LOG_DISK_BYTES" envDefault:"1073741824"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"MAX_BODY_BYTES", c.MaxBodyBytes},
		{"MAX_ROWS", int64(c.MaxRows)},
		{"QUEUE_WAIT", int64(c.QueueWait)},
		{"READ_TIMEOUT", int64(c.ReadTimeout)},
		{"TIMEOUT", int64(c.Timeout)},
		{"THREADS", int64(c.Threads)},
		{"SPARE_VERSIONS", int64(c.SpareVersions)},
		{"LOAD_TIMEOUT", int64(c.LoadTimeout)},
		{"READY_WITHIN", int64(c.ReadyWithin)},
		{"LOG_ROWS", int64(c.LogRows)},
		{"LOG_EVERY", int64(c.LogEvery)},
		{"LOG_EVERY_CANARY", int64(c.LogEveryCanary)},
		{"LOG_MEMORY_BYTES", c.LogMemoryBytes},
		{"LOG_DISK_BYTES", c.LogDiskBytes},
	} {
		if v.n <= 0 {
			errs = append(errs, fmt.Errorf("MILLRACE_INFERENCE_%s must be more than 0", v.name))
		}
	}
	if c.Version < 0 || c.Version > 0 && c.Pipeline == "" {
		errs = append(errs, errors.New("MILLRACE_INFERENCE_VERSION is a version of MILLRACE_INFERENCE_PIPELINE, which must be set too"))
	}
	if c.Concurrency < 0 {
		errs = append(errs, errors.New("MILLRACE_INFERENCE_CONCURRENCY must not be negative; 0 is four per processor"))
	}
	if c.Queue < 0 {
		errs = append(errs, errors.New("MILLRACE_INFERENCE_QUEUE must not be negative"))
	}
	return errors.Join(errs...)
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps     function.Deps
	cfg      Config
	meters   *meters
	gate     *gate
	requests sync.Pool
	rpc      *rpc
	port     *port // nil if gRPC has none of its own
	mirrors  *mirrors
	spools   *spools

	routing   atomic.Pointer[routing]
	routingMu sync.Mutex // held by whoever makes the next routing
	routes    news       // that the routing has changed, or is ready
	shelf     *shelf
	followed  followed
	listed    chan struct{} // closed when all pipelines are known
	batches   *batches

	life   context.Context //nolint:containedctx // of what Start leaves running
	end    context.CancelFunc
	tasks  sync.WaitGroup
	made   time.Time
	began  time.Time
	once   sync.Once // of the first time that it is ready
	noises noises
}

// New makes the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 4 * runtime.GOMAXPROCS(0)
	}
	g := newGate(cfg.Concurrency, cfg.Queue, cfg.QueueWait)
	m, err := newMeters(deps.Metrics, g)
	if err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	f := &F{
		deps: deps, cfg: cfg, meters: m, gate: g, made: time.Now(),
		requests: sync.Pool{New: func() any { return new(request) }},
		shelf:    newShelf(cfg.SpareVersions),
		followed: followed{pipelines: map[string]*follower{}},
		listed:   make(chan struct{}),
	}
	f.rpc, f.mirrors = newRPC(f), newMirrors(f)
	f.routing.Store(&routing{})
	if f.batches, err = openBatches(filepath.Join(deps.Dir, "pending"), f); err != nil {
		return nil, err
	}
	f.spools, err = openSpools(filepath.Join(deps.Dir, "labels"), f)
	return f, err
}

// Register registers nothing: the function follows the log by itself, since
// every process that serves must hear of a route, not one of them.
func (f *F) Register(*function.Mux) {}

// Start follows the routes and writes the prediction log until Stop. It does
// not wait for models: see Ready.
func (f *F) Start(ctx context.Context) error {
	if err := onnx.Init(""); err != nil {
		return err
	}
	if f.cfg.GRPC != "" {
		token, err := function.ReadToken(f.cfg.Token, f.cfg.TokenFile)
		if err != nil {
			return err
		}
		f.port = newPort(f.rpc, token)
		if err := f.port.open(ctx, f.cfg.GRPC); err != nil {
			return err
		}
		f.deps.Logger.InfoContext(ctx, "gRPC has a port of its own", "listen", f.port.address.String())
	}
	f.began = time.Now()
	f.life, f.end = context.WithCancel(ctx)
	f.tasks.Add(5)
	go f.follow(f.life)
	go f.batches.encode(f.life)
	go f.batches.ship(f.life)
	go f.mirrors.run(f.life)
	go f.spools.run(f.life)
	return nil
}

// Ready says whether every routed version is loaded. A version that does not
// load keeps the function from being ready for Config.ReadyWithin only: the
// other models should be served.
func (f *F) Ready(context.Context) error {
	if f.life == nil || f.life.Err() != nil {
		return errors.New("the function does not run")
	}
	late := time.Since(f.began) > f.cfg.ReadyWithin && f.cfg.Version == 0
	select {
	case <-f.listed:
	default:
		return errors.New("the event log has not been read yet")
	}
	if late {
		return nil
	}
	f.followed.mu.Lock()
	defer f.followed.mu.Unlock()
	if f.cfg.Version > 0 && len(f.followed.pipelines) == 0 {
		return fmt.Errorf("the event log has no pipeline %s yet", f.cfg.Pipeline)
	}
	for _, p := range f.followed.pipelines {
		select {
		case <-p.settled:
		default:
			return fmt.Errorf("the versions in the route of %s are not loaded yet", p.name)
		}
	}
	return nil
}

// started notes how long the start took, once every pipeline is settled.
func (f *F) started() {
	if f.Ready(f.life) == nil {
		f.once.Do(func() { f.meters.coldStart.Set(time.Since(f.made).Seconds()) })
	}
}

// Stop writes and announces what is left of the prediction log, within ctx.
// What remains is announced at the next start in the same folder.
func (f *F) Stop(ctx context.Context) error {
	if f.life == nil {
		return nil
	}
	var err error
	if f.port != nil {
		err = f.port.close(ctx)
	}
	f.rpc.health.end()
	err = errors.Join(err, f.batches.drain(ctx))
	f.end()
	f.tasks.Wait()
	f.spools.drain(ctx)
	f.routing.Store(&routing{})
	for _, p := range f.followed.pipelines {
		releaseAll(p.serving)
	}
	f.shelf.clear()
	return err
}

// noises keeps an error that may come with each request from filling the log.
type noises struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// quiet is how long the same noise is not heard again.
const quiet = 10 * time.Second

// heard says whether the noise should be logged now.
func (n *noises) heard(what string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.last[what]) < quiet {
		return false
	}
	if n.last == nil {
		n.last = map[string]time.Time{}
	}
	n.last[what] = time.Now()
	return true
}
