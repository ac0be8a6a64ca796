package job

import (
	"errors"
	"fmt"
	"time"
)

// Settings are an installation's for all of its runs.
type Settings struct {
	// The namespace of the runs. Empty for the one that this program runs in.
	Namespace string `env:"MILLRACE_NAMESPACE"`
	// The image of cmd/runner. Needed on a cluster.
	RunnerImage string `env:"MILLRACE_RUNNER_IMAGE"`
	// The image of cmd/sidecar. Needed on a cluster.
	SidecarImage string `env:"MILLRACE_SIDECAR_IMAGE"`
	// Resolve the tag of train.image to a digest when a run is decided on, so that
	// the run's key names the image's bytes. When false, an image that was pushed
	// again under the same tag is not a new trainer.
	Resolve bool `env:"MILLRACE_TRAIN_RESOLVE" envDefault:"true"`
	// Name of the ConfigMap and of the Secret with the addresses and credentials
	// of the installation. A run gets a Secret of its own, with those of the object
	// store and of NATS. Its files are at /etc/millrace.
	Settings string `env:"MILLRACE_TRAIN_SETTINGS" envDefault:"millrace"`
	// The seed of the NATS user of runs. Empty where all programs have one user.
	Seed string `env:"MILLRACE_TRAIN_NATS_SEED"`
	// The service account of the pods. It should have no rights.
	ServiceAccount string `env:"MILLRACE_TRAIN_ACCOUNT" envDefault:"trainer"`
	// How long a Job that has ended is kept.
	TTL time.Duration `env:"MILLRACE_TRAIN_TTL" envDefault:"24h"`
	// How much longer than train.timeout a Job may take: to find a node, to pull
	// images, to fetch and to upload.
	Slack time.Duration `env:"MILLRACE_TRAIN_SLACK" envDefault:"30m"`
	// The queue of Kueue that admits the runs. Empty for none.
	Queue string `env:"MILLRACE_TRAIN_QUEUE"`
}

// Validate reports every mistake at once.
func (s Settings) Validate() error {
	var errs []error
	for _, v := range []struct {
		name  string
		value any
		ok    bool
		want  string
	}{
		{"MILLRACE_RUNNER_IMAGE", s.RunnerImage, s.RunnerImage != "", "the image of the runner"},
		{"MILLRACE_SIDECAR_IMAGE", s.SidecarImage, s.SidecarImage != "", "the image of the sidecar"},
		{"MILLRACE_TRAIN_TTL", s.TTL, s.TTL >= time.Minute, "at least 1m, so that an end that was not noticed is still found"},
		{"MILLRACE_TRAIN_SLACK", s.Slack, s.Slack >= time.Minute, "at least 1m"},
	} {
		if !v.ok {
			errs = append(errs, fmt.Errorf("%s is %q; it must be %s", v.name, fmt.Sprint(v.value), v.want))
		}
	}
	return errors.Join(errs...)
}
