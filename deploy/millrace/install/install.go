// Package install puts Millrace on a Kubernetes cluster that has Knative: it
// checks the cluster first, applies an overlay of deploy/knative, waits until
// all objects are ready, and reports what is missing.
//
// It runs kubectl, with its contexts and credentials; kubectl apply -k of the
// same folder does the same. The objects are applied server-side by the field
// manager "millrace". A field that has another owner is left alone and reported.
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

// FieldManager is the field manager of the applied objects.
const FieldManager = "millrace"

// Options configure an installation.
type Options struct {
	// Overlay is one of Overlays, or a folder with another kustomization.
	Overlay string
	// Kubectl is the program. Context and Kubeconfig are its flags; if empty,
	// kubectl's defaults apply.
	Kubectl, Context, Kubeconfig string
	// Pipelines are folders of one or several pipelines. If it is empty, the
	// ConfigMap pipelines is left unchanged.
	Pipelines []string
	// Users makes the Secrets of the NATS users, prints their public keys to Out, and applies nothing else.
	Users bool
	// DryRun prints the objects to Out and applies nothing.
	DryRun bool
	// Timeout bounds the wait for everything to be ready.
	Timeout time.Duration
	// Out receives the objects of a dry run, Progress a line for each step.
	Out, Progress io.Writer
}

// Overlays returns the names of the embedded overlays.
func Overlays() []string {
	entries, _ := fs.ReadDir(knative.Files, "overlays") // embedded
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Run installs Millrace or updates an installation. It is idempotent.
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
	if o.Users {
		u, err := in.usersOf(ctx, k)
		if err == nil {
			err = u.apply(ctx, k, in, o)
		}
		if err != nil {
			return err
		}
		return u.printKeys(o)
	}
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
	fmt.Fprintf(o.Progress, "the cluster meets all requirements; applying %d objects to the namespace %s\n", len(in.objects), in.namespace)
	u, err := in.usersOf(ctx, k)
	if err == nil {
		err = u.apply(ctx, k, in, o)
	}
	if err != nil {
		return err
	}
	if err := in.makeToken(ctx, k, o.Progress); err != nil {
		return err
	}
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
	return "\nThese fields have another owner and are left unchanged: remove them from the overlay, or have their owner release them"
}

// render returns all objects as YAML, as kustomize builds them.
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

// unpack writes the manifests in their folders, since they refer to each other.
func unpack(root string) error {
	for at, files := range map[string]fs.FS{path.Join("deploy", "knative"): knative.Files, "triggers": triggers.Files()} {
		if err := os.CopyFS(filepath.Join(root, filepath.FromSlash(at)), files); err != nil {
			return err
		}
	}
	return nil
}
