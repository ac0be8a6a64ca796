package ingest

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"millrace.dev/shared/function"
	"millrace.dev/shared/table/duck"
)

// Name of the function.
const Name = "ingest"

// Tasks are what the program that runs ingest does in processes of its own: see
// [apart.Main].
var Tasks = duck.Tasks

// Config is what an installation sets.
type Config struct {
	// Added as the query to the URL of every bucket that uploads are read from:
	// region=eu-central-1&endpoint=http://minio:9000&use_path_style=true.
	BucketOptions string `env:"MILLRACE_BUCKET_OPTIONS"`
	// The largest object that is read, as it is stored.
	MaxBytes int64 `env:"MILLRACE_INGEST_MAX_BYTES" envDefault:"4294967296" unit:"bytes"`
	// The largest size of an object once it is unpacked.
	MaxUnpackedBytes int64 `env:"MILLRACE_INGEST_MAX_UNPACKED_BYTES" envDefault:"4294967296" unit:"bytes"`
	// The most rows of a partition.
	MaxRows int64 `env:"MILLRACE_INGEST_MAX_ROWS" envDefault:"100000000" unit:"rows"`
	// The most columns of a partition.
	MaxColumns int `env:"MILLRACE_INGEST_MAX_COLUMNS" envDefault:"16384" unit:"columns"`
	// How much memory DuckDB may take for one conversion, with a unit. Beyond it
	// DuckDB uses the disk.
	Memory string `env:"MILLRACE_INGEST_MEMORY" envDefault:"512MB"`
	// Threads of one conversion; 0 for all.
	Threads int `env:"MILLRACE_INGEST_THREADS" envDefault:"0" unit:"threads"`
	// How many objects are read at a time, each with its own memory.
	AtOnce int `env:"MILLRACE_INGEST_AT_ONCE" envDefault:"2" unit:"objects"`
	// How long one conversion may take, prepare included.
	Timeout time.Duration `env:"MILLRACE_INGEST_TIMEOUT" envDefault:"8m"`
	// How far back labels look for their predictions.
	LabelsWithin time.Duration `env:"MILLRACE_INGEST_LABELS_WITHIN" envDefault:"2160h"`
	// In how many batches of the prediction log labels look for their predictions.
	LabelsBatches int `env:"MILLRACE_INGEST_LABELS_BATCHES" envDefault:"5000" unit:"batches"`
	// How long labels wait, from their upload, for predictions that are not in the
	// log yet: batches are written after the answers.
	LabelsWait time.Duration `env:"MILLRACE_INGEST_LABELS_WAIT" envDefault:"10s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	return errors.Join(
		function.AboveZero("MILLRACE_INGEST_MAX_BYTES", c.MaxBytes),
		function.AboveZero("MILLRACE_INGEST_MAX_UNPACKED_BYTES", c.MaxUnpackedBytes),
		function.AboveZero("MILLRACE_INGEST_MAX_ROWS", c.MaxRows),
		function.AboveZero("MILLRACE_INGEST_MAX_COLUMNS", c.MaxColumns),
		function.AboveZero("MILLRACE_INGEST_AT_ONCE", c.AtOnce),
		function.AboveZero("MILLRACE_INGEST_TIMEOUT", c.Timeout),
		function.AboveZero("MILLRACE_INGEST_LABELS_WITHIN", c.LabelsWithin),
		function.AboveZero("MILLRACE_INGEST_LABELS_BATCHES", c.LabelsBatches),
		function.NotNegative("MILLRACE_INGEST_THREADS", c.Threads),
		function.NotNegative("MILLRACE_INGEST_LABELS_WAIT", c.LabelsWait),
	)
}

func (c Config) limits() duck.Limits {
	return duck.Limits{
		Bytes: c.MaxUnpackedBytes, Rows: c.MaxRows, Columns: c.MaxColumns,
		Memory: c.Memory, Threads: c.Threads, Timeout: c.Timeout,
	}
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps    function.Deps
	cfg     Config
	bundles bundles
	buckets buckets
	slots   chan struct{} // of objects that are being read
	lane    chan struct{} // of the kept upload that a reingest reads
}

// New makes the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &F{
		deps: deps, cfg: cfg,
		bundles: bundles{store: deps.Artifacts, dir: filepath.Join(deps.Dir, "bundles")},
		buckets: buckets{options: cfg.BucketOptions},
		slots:   make(chan struct{}, cfg.AtOnce),
		lane:    make(chan struct{}, 1),
	}, nil
}

// Register registers the handlers.
func (f *F) Register(m *function.Mux) {
	// Reading an object from its bucket comes before the conversion.
	function.Handle(m, f.uploaded, function.Timeout(f.cfg.Timeout+time.Minute))
	function.Handle(m, f.removed)
	function.Handle(m, f.ticked)
	function.Handle(m, f.configured)
	// Of two requests one begins, and a step does not outlive a stop.
	function.Handle(m, f.reingestRequested, function.Guard("reingest"))
	function.Handle(m, f.reingestProgressed, function.Guard("reingest"), function.Timeout(f.cfg.Timeout+time.Minute))
}

// Stop closes the buckets.
func (f *F) Stop(context.Context) error { return f.buckets.close() }
