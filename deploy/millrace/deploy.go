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

// newDeploy is the command that puts Millrace on a cluster.
func newDeploy() *cobra.Command {
	o := install.Options{}
	c := &cobra.Command{
		Use:   "deploy",
		Short: "Put Millrace on a Kubernetes cluster with Knative",
		Long: `Put Millrace on a Kubernetes cluster with Knative, or bring an installation up to
date: look whether the cluster has what is needed, apply an overlay, wait until
all of it is ready, and say what is missing.

The overlays are ` + strings.Join(install.Overlays(), ", ") + `; a folder with a kustomization.yaml of your own is one
too. It needs kubectl, whose current context says which cluster; "kubectl apply
-k" of the overlay's folder does the same without looking and waiting.`,
		Example: "  millrace deploy --overlay local --pipelines config/examples/flights\n" +
			"  millrace deploy --overlay ./installations/production --dry-run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.Out, o.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return install.Run(ctx, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Overlay, "overlay", "local", "which overlay: "+strings.Join(install.Overlays(), ", ")+", or a folder")
	f.StringArrayVar(&o.Pipelines, "pipelines", nil, "folder of a pipeline to configure there; may be repeated")
	f.StringVar(&o.Context, "context", "", "context of kubectl's configuration; its current one by default")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubectl's configuration file; its own choice by default")
	f.BoolVar(&o.DryRun, "dry-run", false, "print the objects and what is missing, and apply nothing")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "how long to wait until all is ready")
	return c
}
