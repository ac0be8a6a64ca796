package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"millrace.dev/shared/function"
	"millrace.dev/shared/table/duck"
)

// Name of the function.
const Name = "ingest"

// Config is what an installation sets.
type Config struct {
	// BucketOptions are added to the URL of every bucket that uploads are read
	// from, as its query: region=eu-central-1&endpoint=http://minio:9000&use_path_style=true
	BucketOptions string `env:"MILLRACE_BUCKET_OPTIONS"`
	// MaxBytes is the largest object that is read, as it is stored.
	MaxBytes int64 `env:"MILLRACE_INGEST_MAX_BYTES" envDefault:"4294967296"`
	// MaxUnpackedBytes bounds what a compressed object may grow to.
	MaxUnpackedBytes int64 `env:"MILLRACE_INGEST_MAX_UNPACKED_BYTES" envDefault:"4294967296"`
	// MaxRows and MaxColumns bound a partition.
	MaxRows    int64 `env:"MILLRACE_INGEST_MAX_ROWS" envDefault:"100000000"`
	MaxColumns int   `env:"MILLRACE_INGEST_MAX_COLUMNS" envDefault:"4096"`
	// Memory is what DuckDB may take for one conversion.
	Memory string `env:"MILLRACE_INGEST_MEMORY" envDefault:"512MB"`
	// Threads of one conversion; 0 is all of them.
	Threads int `env:"MILLRACE_INGEST_THREADS" envDefault:"0"`
	// AtOnce is how many objects are read at a time, each with its Memory.
	AtOnce int `env:"MILLRACE_INGEST_AT_ONCE" envDefault:"2"`
	// Timeout of one conversion, prepare included.
	Timeout time.Duration `env:"MILLRACE_INGEST_TIMEOUT" envDefault:"8m"`
	// LabelsWithin is how far back labels look for their predictions, and
	// LabelsBatches at how many batches of the prediction log at most.
	LabelsWithin  time.Duration `env:"MILLRACE_INGEST_LABELS_WITHIN" envDefault:"2160h"`
	LabelsBatches int           `env:"MILLRACE_INGEST_LABELS_BATCHES" envDefault:"5000"`
	// LabelsWait is how long labels wait for predictions that are not in the
	// log yet, counted from their upload: batches are written after the answers.
	LabelsWait time.Duration `env:"MILLRACE_INGEST_LABELS_WAIT" envDefault:"10s"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s must be more than 0", name))
		}
	}
	positive("MILLRACE_INGEST_MAX_BYTES", c.MaxBytes > 0)
	positive("MILLRACE_INGEST_MAX_UNPACKED_BYTES", c.MaxUnpackedBytes > 0)
	positive("MILLRACE_INGEST_MAX_ROWS", c.MaxRows > 0)
	positive("MILLRACE_INGEST_MAX_COLUMNS", c.MaxColumns > 0)
	positive("MILLRACE_INGEST_AT_ONCE", c.AtOnce > 0)
	positive("MILLRACE_INGEST_TIMEOUT", c.Timeout > 0)
	positive("MILLRACE_INGEST_LABELS_WITHIN", c.LabelsWithin > 0)
	positive("MILLRACE_INGEST_LABELS_BATCHES", c.LabelsBatches > 0)
	if c.Threads < 0 {
		errs = append(errs, errors.New("MILLRACE_INGEST_THREADS must not be negative"))
	}
	if c.LabelsWait < 0 {
		errs = append(errs, errors.New("MILLRACE_INGEST_LABELS_WAIT must not be negative"))
	}
	return errors.Join(errs...)
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
	turns   chan struct{}
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
		turns:   make(chan struct{}, cfg.AtOnce),
	}, nil
}

// Register registers what the function hears.
func (f *F) Register(m *function.Mux) {
	// Reading an object from its bucket comes before the conversion.
	function.Handle(m, f.uploaded, function.Timeout(f.cfg.Timeout+time.Minute))
	function.Handle(m, f.removed)
	function.Handle(m, f.ticked)
}

// Stop closes the buckets.
func (f *F) Stop(context.Context) error { return f.buckets.close() }
