package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"

	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/shared/function"
)

// Config is what an installation sets: that of any train-launcher, and that of
// one on a cluster.
type Config struct {
	trainlauncher.Config
	Settings
}

// Validate reports every mistake at once. Settings of a cluster are validated
// only on one.
func (c Config) Validate() error {
	if !inCluster() {
		return c.Config.Validate()
	}
	return errors.Join(c.Config.Validate(), c.Settings.Validate())
}

// New makes train-launcher as it is deployed: in a cluster its runs are Jobs
// and TrainJobs there, elsewhere processes.
func New(c Config, deps function.Deps) (*trainlauncher.F, error) {
	if !inCluster() {
		return trainlauncher.New(c.Config, deps)
	}
	cluster, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("find the Kubernetes API: %w", err)
	}
	if c.Namespace == "" {
		if c.Namespace, err = ownNamespace(); err != nil {
			return nil, err
		}
	}
	return On(cluster, c, deps)
}

// On makes train-launcher with its runs in the given cluster.
func On(cluster *rest.Config, c Config, deps function.Deps) (*trainlauncher.F, error) {
	k, err := connect(cluster, c.Settings)
	if err != nil {
		return nil, err
	}
	image := func(_ context.Context, name string) (string, error) { return name, nil }
	if c.Resolve {
		image = resolve
	}
	return trainlauncher.NewOn(c.Config, deps, trainlauncher.Cluster{
		Launchers: map[string]trainlauncher.Launcher{"job": &Jobs{k}, "trainjob": &TrainJobs{k}},
		Image:     image,
	})
}

// inCluster reports whether this program runs in a pod with access to the
// Kubernetes API.
func inCluster() bool {
	_, err := os.Stat(tokenFolder + "/token")
	return err == nil && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

const tokenFolder = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a folder, no secret

func ownNamespace() (string, error) {
	b, err := os.ReadFile(tokenFolder + "/namespace")
	if err != nil {
		return "", fmt.Errorf("find the namespace (MILLRACE_NAMESPACE is not set): %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
