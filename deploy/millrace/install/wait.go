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

// lookAgain is how often the cluster is asked while it is waited for.
const lookAgain = 2 * time.Second

// wait waits until everything that was applied is ready, and tells what has
// become so. At the end of ctx it says what is not, and why.
func (in installation) wait(ctx context.Context, k *kubectl, progress io.Writer) error {
	wanted := map[string]object{}
	for _, o := range in.objects {
		if o.isWaitedFor() {
			wanted[o.String()] = o
		}
	}
	total, began := len(wanted), time.Now()
	reasons := map[string]string{}
	var door string
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
				ok, why = false, "it is not there"
			}
			if reasons[name] = why; ok {
				delete(wanted, name)
				if o.Metadata.Name == "gateway" && o.Kind == "Service" {
					door = now.Status.URL
				}
				fmt.Fprintf(progress, "%2d of %d ready: %s\n", total-len(wanted), total, name)
			}
		}
		if len(wanted) == 0 {
			fmt.Fprintf(progress, "Millrace is ready in the namespace %s after %s\n", in.namespace, time.Since(began).Round(time.Second))
			if door != "" { // an overlay may have none
				fmt.Fprintf(progress, "this command speaks to it with: export MILLRACE_SERVER=%s\n", door)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return in.unready(context.WithoutCancel(ctx), k, slices.Sorted(maps.Keys(wanted)), reasons)
		case <-time.After(lookAgain):
		}
	}
}

// unready says what is not ready, and what its pods say.
func (in installation) unready(ctx context.Context, k *kubectl, names []string, reasons map[string]string) error {
	errs := []error{errors.New("it was applied, and this is not ready")}
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
