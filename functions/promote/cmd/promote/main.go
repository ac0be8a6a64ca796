// Command promote runs the function promote on its own. On a Kubernetes
// cluster, what serves there follows the routes.
package main

import (
	"os"

	"millrace.dev/functions/promote"
	"millrace.dev/functions/promote/cluster"
	"millrace.dev/shared/function"
)

func main() { os.Exit(function.Main(promote.Name, build, function.WithoutArtifacts())) }

func build(cfg cluster.Config, _ function.Deps) (*promote.F, error) {
	c, ok, err := cluster.In(cfg)
	if err != nil || !ok {
		return promote.NewFollowed(nil), err
	}
	return promote.NewFollowed(c.Follow), nil
}
