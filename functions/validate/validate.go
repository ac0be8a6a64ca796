package validate

import (
	"errors"
	"path/filepath"
	"time"

	"millrace.dev/shared/function"
)

// Name of the function.
const Name = "validate"

// Config is what an installation sets.
type Config struct {
	// Timeout of one validation.
	Timeout time.Duration `env:"MILLRACE_VALIDATE_TIMEOUT" envDefault:"9m"`
	// Cached is how many partitions' findings are kept in the working folder.
	Cached int `env:"MILLRACE_VALIDATE_CACHED" envDefault:"1000"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("MILLRACE_VALIDATE_TIMEOUT must be more than 0"))
	}
	if c.Cached < 0 {
		errs = append(errs, errors.New("MILLRACE_VALIDATE_CACHED must not be negative"))
	}
	return errors.Join(errs...)
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps     function.Deps
	cfg      Config
	findings cache
}

// New makes the function.
func New(cfg Config, deps function.Deps) (*F, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	findings, err := openCache(filepath.Join(deps.Dir, "findings"), cfg.Cached)
	if err != nil {
		return nil, err
	}
	return &F{deps: deps, cfg: cfg, findings: findings}, nil
}

// Register registers what the function hears.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, f.ingested, function.Guard("dataset"), function.Timeout(f.cfg.Timeout))
	function.Handle(m, f.removed, function.Guard("dataset"), function.Timeout(f.cfg.Timeout))
}
