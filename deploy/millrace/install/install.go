// Package install puts Millrace on a Kubernetes cluster that has Knative: it
// looks at the cluster first, applies an overlay of deploy/knative, waits until
// all of it is ready, and says in sentences what is missing.
//
// Everything goes through kubectl, which whoever may install has, with its
// contexts and its ways to sign in; kubectl apply -k of the same folder does
// the same. The objects are applied on the server's side by the field manager
// "millrace". A field that somebody else owns is left to them, and said.
package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/deploy/knative"
	"millrace.dev/triggers"
)

// FieldManager owns what is applied.
const FieldManager = "millrace"

// Options of an installation.
type Options struct {
	// Overlay is one of Overlays, or a folder with a kustomization of one's own.
	Overlay string
	// Kubectl is the program; Context and Kubeconfig are its flags, its own
	// choice when empty.
	Kubectl, Context, Kubeconfig string
	// Pipelines are folders: of a pipeline, or of pipelines. The ConfigMap
	// pipelines is left as it is without.
	Pipelines []string
	// DryRun prints the objects to Out and applies nothing.
	DryRun bool
	// Timeout bounds the wait for everything to be ready.
	Timeout time.Duration
	// Out gets the objects of a dry run, Progress what is going on.
	Out, Progress io.Writer
}

// Overlays are the names of those that come along.
func Overlays() []string {
	entries, _ := fs.ReadDir(knative.Files, "overlays") // embedded
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Run installs, or brings an installation up to date. Run again it changes
// nothing that is as it should be.
func Run(ctx context.Context, o Options) error {
	k, err := findKubectl(o)
	if err != nil {
		return err
	}
	objects, err := o.render(ctx, k)
	if err != nil {
		return err
	}
	in := read(objects)
	problems := in.check(ctx, k)
	if o.DryRun {
		if _, err := o.Out.Write(objects); err != nil {
			return err
		}
		return errors.Join(problems...)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("nothing was applied:\n%w", err)
	}
	fmt.Fprintf(o.Progress, "the cluster has what is needed; applying %d objects to the namespace %s\n", len(in.objects), in.namespace)
	if _, err := k.run(ctx, objects, "apply", "--server-side", "--field-manager="+FieldManager, "-f", "-"); err != nil {
		return fmt.Errorf("apply: %w%s", err, conflictHint(err))
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return in.wait(ctx, k, o.Progress)
}

func conflictHint(err error) string {
	if !strings.Contains(err.Error(), "conflict") {
		return ""
	}
	return "\nSomebody else owns these fields. They are left as they are: take them out of the overlay, or have their owner give them up"
}

// render is everything that is applied, as kustomize builds it.
func (o Options) render(ctx context.Context, k *kubectl) ([]byte, error) {
	folder := o.Overlay
	if slices.Contains(Overlays(), o.Overlay) {
		root, err := os.MkdirTemp("", "millrace-deploy-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(root)
		if err := unpack(root); err != nil {
			return nil, fmt.Errorf("unpack the manifests: %w", err)
		}
		folder = filepath.Join(root, "deploy", "knative", "overlays", o.Overlay)
	} else if _, err := os.Stat(filepath.Join(folder, "kustomization.yaml")); err != nil {
		return nil, fmt.Errorf("%s is neither an overlay (%s) nor a folder with a kustomization.yaml", o.Overlay, strings.Join(Overlays(), ", "))
	}
	objects, err := k.run(ctx, nil, "kustomize", folder)
	if err != nil {
		return nil, fmt.Errorf("build the overlay: %w", err)
	}
	if len(o.Pipelines) == 0 {
		return objects, nil
	}
	pipelines, err := configMap(o.Pipelines, read(objects).namespace)
	return slices.Concat(objects, []byte("---\n"), pipelines), err
}

// unpack writes the manifests as the tree has them, since they refer to each other.
func unpack(root string) error {
	for at, files := range map[string]fs.FS{path.Join("deploy", "knative"): knative.Files, "triggers": triggers.Files()} {
		if err := os.CopyFS(filepath.Join(root, filepath.FromSlash(at)), files); err != nil {
			return err
		}
	}
	return nil
}
