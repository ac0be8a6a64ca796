package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace.dev/deploy/millrace/install"
)

// newDeploy returns the command that installs Millrace on a cluster.
func newDeploy() *cobra.Command {
	o := install.Options{}
	c := &cobra.Command{
		Use:   "deploy",
		Short: "Put Millrace on a Kubernetes cluster with Knative",
		Long: `Put Millrace on a Kubernetes cluster with Knative, or update an installation:
check that the cluster meets the requirements, apply an overlay, wait until all
objects are ready, and report what is missing.

The overlays are ` + strings.Join(install.Overlays(), ", ") + `; or give a folder with your own
kustomization.yaml. It needs kubectl, whose current context selects the cluster.
"kubectl apply -k" of the overlay's folder does the same without the check and
the wait. It needs the Secrets of the programs' NATS users, which this command
makes if they do not exist, and keeps if they do: with --users it makes them and
nothing else, and prints the public keys for a NATS server of your own. Seeds are
random and never printed.`,
		Example: "  millrace deploy --overlay local --pipelines config/examples/flights\n" +
			"  millrace deploy --overlay ./installations/production --dry-run\n" +
			"  millrace deploy --overlay local --users && kubectl apply -k deploy/knative/overlays/local",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Out, o.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return install.Run(ctx, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Overlay, "overlay", "local", "overlay to apply: "+strings.Join(install.Overlays(), ", ")+", or a folder")
	f.StringArrayVar(&o.Pipelines, "pipelines", nil, "folder of a pipeline to configure in the cluster; may be repeated")
	f.StringVar(&o.Context, "context", "", "context in kubectl's configuration; the current one by default")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubectl's configuration file; kubectl's own default if empty")
	f.BoolVar(&o.Users, "users", false, "make the Secrets of the NATS users, print their public keys, and apply nothing else")
	f.BoolVar(&o.DryRun, "dry-run", false, "print the objects and unmet requirements, and apply nothing")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "how long to wait until all objects are ready")
	return c
}
