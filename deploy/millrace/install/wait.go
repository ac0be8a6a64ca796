package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// pollInterval is the time between two queries of the cluster.
const pollInterval = 2 * time.Second

// wait waits until all applied objects are ready, and reports each one. When
// ctx ends, the error lists the others with the reasons.
func (in installation) wait(ctx context.Context, k *kubectl, progress io.Writer) error {
	wanted := map[string]object{}
	for _, o := range in.objects {
		if o.isWaitedFor() {
			wanted[o.String()] = o
		}
	}
	total, began := len(wanted), time.Now()
	reasons := map[string]string{}
	var address string
	for {
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			o := wanted[name]
			var now object
			if err := k.get(ctx, &now, o.resource(), o.Metadata.Name, "-n", in.namespace); err != nil {
				if ctx.Err() == nil {
					reasons[name] = err.Error()
				}
				continue
			}
			ok, why := now.ready()
			if now.Kind == "" {
				ok, why = false, "it does not exist"
			}
			if reasons[name] = why; ok {
				delete(wanted, name)
				if o.Metadata.Name == "gateway" && o.Kind == "Service" {
					address = now.Status.URL
				}
				fmt.Fprintf(progress, "%2d of %d ready: %s\n", total-len(wanted), total, name)
			}
		}
		if len(wanted) == 0 {
			fmt.Fprintf(progress, "Millrace is ready in the namespace %s after %s\n", in.namespace, time.Since(began).Round(time.Second))
			if address != "" { // an overlay may lack the Service
				fmt.Fprintf(progress, "to use it with this command: export MILLRACE_SERVER=%s\n", address)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return in.unready(context.WithoutCancel(ctx), k, slices.Sorted(maps.Keys(wanted)), reasons)
		case <-time.After(pollInterval):
		}
	}
}

// unready returns an error that lists the objects that are not ready, with the
// state of their pods.
func (in installation) unready(ctx context.Context, k *kubectl, names []string, reasons map[string]string) error {
	errs := []error{errors.New("the objects were applied, but these are not ready")}
	for _, name := range names {
		errs = append(errs, fmt.Errorf("%s: %s", name, reasons[name]))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var pods struct{ Items []object }
	if err := k.get(ctx, &pods, "pods", "-n", in.namespace); err != nil {
		return errors.Join(errs...)
	}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			if w := c.State.Waiting; strings.Contains(w.Reason, "Image") || strings.Contains(w.Reason, "BackOff") {
				errs = append(errs, fmt.Errorf("the pod %s waits: %s %s", p.Metadata.Name, w.Reason, w.Message))
			}
		}
	}
	return errors.Join(errs...)
}
