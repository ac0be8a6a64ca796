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

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/feedback"
	"millrace.dev/functions/inference/grpcapi"
	"millrace.dev/functions/inference/predictionlog"
	"millrace.dev/shared/function"
	"millrace.dev/shared/onnx"
)

// Name of the function.
const Name = "inference"

// Config is what an installation sets.
type Config struct {
	// The largest request.
	MaxBodyBytes int64 `env:"MILLRACE_INFERENCE_MAX_BODY_BYTES" envDefault:"8388608" unit:"bytes"`
	// The most rows in a request.
	MaxRows int `env:"MILLRACE_INFERENCE_MAX_ROWS" envDefault:"10000" unit:"rows"`
	// How many requests for one model are answered at a time, unless
	// serve.concurrency says it; 0 for four per processor.
	Concurrency int `env:"MILLRACE_INFERENCE_CONCURRENCY" envDefault:"0" unit:"requests"`
	// How many more requests for the model may wait, unless serve.queue says it.
	// Beyond them the answer is 429.
	Queue int `env:"MILLRACE_INFERENCE_QUEUE" envDefault:"1000" unit:"requests"`
	// How long a request may wait.
	QueueWait time.Duration `env:"MILLRACE_INFERENCE_QUEUE_WAIT" envDefault:"500ms"`
	// How long the body of a request may take to arrive.
	ReadTimeout time.Duration `env:"MILLRACE_INFERENCE_READ_TIMEOUT" envDefault:"30s"`
	// How long a model may take to answer a request, unless serve.timeout says it.
	// Then its run is ended.
	Timeout time.Duration `env:"MILLRACE_INFERENCE_TIMEOUT" envDefault:"30s"`
	// The only pipeline that this process serves; empty for all. With
	// MILLRACE_INFERENCE_VERSION it is a revision on a cluster, which splits the
	// traffic itself.
	Pipeline string `env:"MILLRACE_INFERENCE_PIPELINE"`
	// The only version that this process serves, whatever its share in the route;
	// 0 for all in the route. The process is ready when the version is loaded.
	Version int `env:"MILLRACE_INFERENCE_VERSION" unit:"version"`
	// An address where gRPC alone is answered, without TLS, beside the common
	// port; empty for none.
	GRPC string `env:"MILLRACE_INFERENCE_GRPC"`
	// Threads that the rows of one request may use.
	Threads int `env:"MILLRACE_INFERENCE_THREADS" envDefault:"1" unit:"threads"`
	// How many versions stay loaded that are in no route.
	SpareVersions int `env:"MILLRACE_INFERENCE_SPARE_VERSIONS" envDefault:"4" unit:"versions"`
	// How long the loading of a version may take.
	LoadTimeout time.Duration `env:"MILLRACE_INFERENCE_LOAD_TIMEOUT" envDefault:"5m"`
	// After this time the function is ready although a version is not loaded.
	ReadyWithin time.Duration `env:"MILLRACE_INFERENCE_READY_WITHIN" envDefault:"1m"`
	// A batch of the prediction log is written at this many rows.
	LogRows int `env:"MILLRACE_INFERENCE_LOG_ROWS" envDefault:"5000" unit:"rows"`
	// A batch is written at least this often.
	LogEvery time.Duration `env:"MILLRACE_INFERENCE_LOG_EVERY" envDefault:"10s"`
	// The same while a rollout waits for evidence.
	LogEveryCanary time.Duration `env:"MILLRACE_INFERENCE_LOG_EVERY_CANARY" envDefault:"1s"`
	// How much memory the rows of the prediction log may take. Rows beyond it are
	// dropped and counted.
	LogMemoryBytes int64 `env:"MILLRACE_INFERENCE_LOG_MEMORY_BYTES" envDefault:"134217728" unit:"bytes"`
	// How much of the disk batches may take while they wait for the object store
	// or the event log. Batches beyond it are dropped and counted.
	LogDiskBytes int64 `env:"MILLRACE_INFERENCE_LOG_DISK_BYTES" envDefault:"1073741824" unit:"bytes"`
}

// Validate reports every invalid setting at once.
func (c Config) Validate() error {
	errs := []error{
		function.AboveZero("MILLRACE_INFERENCE_MAX_BODY_BYTES", c.MaxBodyBytes),
		function.AboveZero("MILLRACE_INFERENCE_MAX_ROWS", c.MaxRows),
		function.AboveZero("MILLRACE_INFERENCE_QUEUE_WAIT", c.QueueWait),
		function.AboveZero("MILLRACE_INFERENCE_READ_TIMEOUT", c.ReadTimeout),
		function.AboveZero("MILLRACE_INFERENCE_TIMEOUT", c.Timeout),
		function.AboveZero("MILLRACE_INFERENCE_THREADS", c.Threads),
		function.AboveZero("MILLRACE_INFERENCE_SPARE_VERSIONS", c.SpareVersions),
		function.AboveZero("MILLRACE_INFERENCE_LOAD_TIMEOUT", c.LoadTimeout),
		function.AboveZero("MILLRACE_INFERENCE_READY_WITHIN", c.ReadyWithin),
		function.AboveZero("MILLRACE_INFERENCE_LOG_ROWS", c.LogRows),
		function.AboveZero("MILLRACE_INFERENCE_LOG_EVERY", c.LogEvery),
		function.AboveZero("MILLRACE_INFERENCE_LOG_EVERY_CANARY", c.LogEveryCanary),
		function.AboveZero("MILLRACE_INFERENCE_LOG_MEMORY_BYTES", c.LogMemoryBytes),
		function.AboveZero("MILLRACE_INFERENCE_LOG_DISK_BYTES", c.LogDiskBytes),
		function.NotNegative("MILLRACE_INFERENCE_QUEUE", c.Queue),
		function.NotNegative("MILLRACE_INFERENCE_CONCURRENCY", c.Concurrency),
		function.NotNegative("MILLRACE_INFERENCE_VERSION", c.Version),
	}
	if c.Version > 0 && c.Pipeline == "" {
		errs = append(errs, fmt.Errorf("MILLRACE_INFERENCE_VERSION is %d; set MILLRACE_INFERENCE_PIPELINE to its pipeline", c.Version))
	}
	return errors.Join(errs...)
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps        function.Deps
	cfg         Config
	metrics     *metrics
	requests    sync.Pool // of *codec.Request
	grpc        *grpcapi.Service
	grpcAnswers sync.Pool     // of *grpcAnswer
	grpcPort    *grpcapi.Port // nil if gRPC has no port of its own
	mirrors     *mirrors
	log         *predictionlog.Writer
	labels      *feedback.Spool

	routing      atomic.Pointer[routing]
	routingMu    sync.Mutex // held while the next routing is made
	routeChanged broadcast  // the routing has changed, or is ready
	versions     *versionCache
	followed     followed
	listed       chan struct{} // closed when all pipelines are known

	life    context.Context //nolint:containedctx // of what Start leaves running
	end     context.CancelFunc
	tasks   sync.WaitGroup
	made    time.Time
	began   time.Time
	once    sync.Once // of the first time that it is ready
	repeats repeats
}

// New returns the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 4 * runtime.GOMAXPROCS(0)
	}
	f := &F{
		deps: deps, cfg: cfg, made: time.Now(),
		requests: sync.Pool{New: func() any { return new(codec.Request) }}, grpcAnswers: sync.Pool{New: func() any { return new(grpcAnswer) }},
		versions: newVersionCache(cfg.SpareVersions),
		followed: followed{pipelines: map[string]*follower{}},
		listed:   make(chan struct{}),
	}
	var err error
	if f.metrics, err = newMetrics(deps.Metrics, f.routing.Load); err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	f.grpc, f.mirrors = newGRPC(f), newMirrors(f)
	f.routing.Store(&routing{})
	if f.log, err = predictionlog.Open(filepath.Join(deps.Dir, "pending"), predictionlog.Options{
		Function: Name, Rows: cfg.LogRows, Every: cfg.LogEvery, EveryCanary: cfg.LogEveryCanary,
		MaxMemory: cfg.LogMemoryBytes, MaxDisk: cfg.LogDiskBytes,
	}, deps); err != nil {
		return nil, err
	}
	f.labels, err = feedback.Open(filepath.Join(deps.Dir, "labels"), feedback.Options{
		Function: Name, Rows: cfg.LogRows, Every: cfg.LogEvery, MaxDisk: cfg.LogDiskBytes,
	}, deps)
	return f, err
}

// Register registers nothing: the function follows the log by itself, since
// every serving process needs the routes, not only one of them.
func (f *F) Register(*function.Mux) {}

// Start follows the routes and writes the prediction log until Stop. It does
// not wait for models: see Ready.
func (f *F) Start(ctx context.Context) error {
	if err := onnx.Init(""); err != nil {
		return err
	}
	if f.cfg.GRPC != "" {
		f.grpcPort = grpcapi.NewPort(f.grpc, f.deps.Guard)
		if err := f.grpcPort.Open(ctx, f.cfg.GRPC); err != nil {
			return err
		}
		f.deps.Logger.InfoContext(ctx, "gRPC has a port of its own", "listen", f.grpcPort.Address().String())
	}
	f.began = time.Now()
	f.life, f.end = context.WithCancel(ctx)
	for _, run := range []func(context.Context){f.follow, f.log.Run, f.mirrors.run, f.labels.Run} {
		f.tasks.Go(func() { run(f.life) })
	}
	return nil
}

// Ready returns nil when every routed version is loaded. A process that serves
// only one pipeline is not ready while its model is stuck. A version that does
// not load keeps the function from being ready for Config.ReadyWithin only: the
// other models should be served.
func (f *F) Ready(context.Context) error {
	if f.life == nil || f.life.Err() != nil {
		return errors.New("the function is not running")
	}
	late := time.Since(f.began) > f.cfg.ReadyWithin && f.cfg.Version == 0
	select {
	case <-f.listed:
	default:
		return errors.New("the event log has not been read yet")
	}
	if s := f.routing.Load().models[f.cfg.Pipeline]; s != nil {
		if why := s.stuck(); why != "" {
			return fmt.Errorf("%s does not answer: %s", s.name, why)
		}
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
		f.once.Do(func() { f.metrics.coldStart.Set(time.Since(f.made).Seconds()) })
	}
}

// Stop writes and emits what is left of the prediction log, within ctx.
// What remains is emitted at the next start in the same folder.
func (f *F) Stop(ctx context.Context) error {
	if f.life == nil {
		return nil
	}
	var err error
	if f.grpcPort != nil {
		err = f.grpcPort.Close(ctx)
	}
	f.grpc.Stop()
	err = errors.Join(err, f.log.Drain(ctx))
	f.end()
	f.tasks.Wait()
	f.labels.Drain(ctx)
	f.routing.Store(&routing{})
	for _, p := range f.followed.pipelines {
		releaseAll(p.serving)
	}
	f.versions.clear()
	return err
}

// repeats keeps an error that may come with each request from filling the log.
type repeats struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// quiet is how long the same error is not logged again.
const quiet = 10 * time.Second

// first reports whether the error should be logged now.
func (r *repeats) first(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.last[what]) < quiet {
		return false
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[what] = time.Now()
	return true
}
