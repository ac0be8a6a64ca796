package job

import (
	"errors"
	"fmt"
	"time"
)

// Settings are an installation's for all of its runs.
type Settings struct {
	// Namespace of the runs; by default the one this program runs in.
	Namespace string `env:"MILLRACE_NAMESPACE"`
	// RunnerImage and SidecarImage are those of cmd/runner and cmd/sidecar.
	RunnerImage  string `env:"MILLRACE_RUNNER_IMAGE"`
	SidecarImage string `env:"MILLRACE_SIDECAR_IMAGE"`
	// Resolve looks up the digest that a tag of train.image means when a run is
	// decided on, so that the run's key means that image. Without, the tag is
	// taken for the image: a trainer that was pushed again under it is not new.
	Resolve bool `env:"MILLRACE_TRAIN_RESOLVE" envDefault:"true"`
	// Settings is the ConfigMap and the Secret with the addresses and the
	// credentials that the sidecar gets; the Secret's files are at /etc/millrace.
	Settings string `env:"MILLRACE_TRAIN_SETTINGS" envDefault:"millrace"`
	// ServiceAccount of the pods; it should have no rights.
	ServiceAccount string `env:"MILLRACE_TRAIN_ACCOUNT" envDefault:"trainer"`
	// TTL is how long a Job that has ended is kept.
	TTL time.Duration `env:"MILLRACE_TRAIN_TTL" envDefault:"24h"`
	// Slack is what a run has beside train.timeout: to find a node, to pull
	// images, to fetch and to upload.
	Slack time.Duration `env:"MILLRACE_TRAIN_SLACK" envDefault:"30m"`
	// Queue is the queue of Kueue that admits the runs; none if empty.
	Queue string `env:"MILLRACE_TRAIN_QUEUE"`
}

// Validate reports every mistake at once.
func (s Settings) Validate() error {
	var errs []error
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"MILLRACE_RUNNER_IMAGE", s.RunnerImage != "", "the image of the runner"},
		{"MILLRACE_SIDECAR_IMAGE", s.SidecarImage != "", "the image of the sidecar"},
		{"MILLRACE_TRAIN_TTL", s.TTL >= time.Minute, "at least 1m: an end that nobody saw is looked for"},
		{"MILLRACE_TRAIN_SLACK", s.Slack >= time.Minute, "at least 1m"},
	} {
		if !v.ok {
			errs = append(errs, fmt.Errorf("%s must be %s", v.name, v.want))
		}
	}
	return errors.Join(errs...)
}
