package validate

import (
	"errors"
	"path/filepath"
	"time"

	"millrace.dev/shared/function"
	"millrace.dev/shared/table/duck"
)

// Name of the function.
const Name = "validate"

// Tasks are what the program that runs validate does in processes of its own:
// see [apart.Main].
var Tasks = duck.Tasks

// Config is what an installation sets.
type Config struct {
	// How long one validation may take.
	Timeout time.Duration `env:"MILLRACE_VALIDATE_TIMEOUT" envDefault:"9m"`
	// How many partitions' findings are cached in the working folder.
	Cached int `env:"MILLRACE_VALIDATE_CACHED" envDefault:"1000" unit:"partitions"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	return errors.Join(function.AboveZero("MILLRACE_VALIDATE_TIMEOUT", c.Timeout), function.NotNegative("MILLRACE_VALIDATE_CACHED", c.Cached))
}

// F is the function. It is safe for concurrent use.
type F struct {
	deps     function.Deps
	cfg      Config
	findings cache
}

// New returns the function.
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

// Register subscribes the function to its events.
func (f *F) Register(m *function.Mux) {
	function.Handle(m, f.ingested, function.Guard("dataset"), function.Timeout(f.cfg.Timeout))
	function.Handle(m, f.ticked, function.Guard("dataset"))
	function.Handle(m, f.removed, function.Guard("dataset"), function.Timeout(f.cfg.Timeout))
}
