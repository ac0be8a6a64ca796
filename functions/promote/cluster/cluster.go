// Package cluster updates the serving objects on a Kubernetes cluster to the
// routes: it reads the objects of a pipeline, gets the next step from package
// serving, and applies it by server-side apply, as our field managers and never
// by force.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"millrace.dev/functions/promote"
	"millrace.dev/functions/promote/serving"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
)

// Config is what an installation sets.
type Config struct {
	// How many former champions of a pipeline keep their revisions, so that a
	// rollback takes a second. Older revisions are created again when they are
	// needed.
	Keep int `env:"MILLRACE_SERVE_KEEP" envDefault:"2" unit:"versions"`
	// URL of the artifact store that KServe reads models from: s3:// or gs://.
	Artifacts string `env:"MILLRACE_ARTIFACTS"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	return function.NotNegative("MILLRACE_SERVE_KEEP", c.Keep)
}

// namespaceFile is where a pod finds its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// template is the installation's own Service, whose template the models use.
const template = "inference"

// steps bounds the steps of one call; the next call does the rest.
const steps = 6

var (
	services  = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}
	revisions = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "revisions"}
	kserves   = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"}
)

// Cluster is the namespace of an installation. It is safe for concurrent use.
type Cluster struct {
	client    dynamic.Interface
	settings  serving.Settings
	artifacts string
}

// In connects to the cluster that this process runs in. ok is false outside of
// a cluster.
func In(cfg Config) (c *Cluster, ok bool, err error) {
	config, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reach the cluster: %w", err)
	}
	namespace, err := os.ReadFile(namespaceFile)
	if err != nil {
		return nil, false, fmt.Errorf("find the namespace: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, false, fmt.Errorf("reach the cluster: %w", err)
	}
	return New(client, strings.TrimSpace(string(namespace)), cfg), true, nil
}

// New returns a namespace of a cluster.
func New(client dynamic.Interface, namespace string, cfg Config) *Cluster {
	return &Cluster{client: client, settings: serving.Settings{Namespace: namespace, Keep: cfg.Keep}, artifacts: cfg.Artifacts}
}

// Follow updates the pipeline's objects towards its route; it is a
// promote.Follow. It does not take a field from another field manager: the
// event is then rejected, with a reason that names the owner.
func (c *Cluster) Follow(ctx context.Context, p *state.Pipeline) (promote.Standing, error) {
	var step serving.Step
	for range steps {
		var err error
		if step, err = c.next(ctx, p); err != nil {
			return promote.Standing{}, err
		}
		if step.Apply == nil {
			break
		}
		if err := c.apply(ctx, step); err != nil {
			if said := refused(err); said != "" && step.Makes != 0 {
				return promote.Standing{Failed: step.Makes, Reason: said}, nil
			}
			return promote.Standing{}, err
		}
		step.Waits = "the cluster is following the route"
	}
	for _, name := range step.Delete {
		err := c.client.Resource(revisions).Namespace(c.settings.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return promote.Standing{}, fmt.Errorf("delete the revision %s: %w", name, err)
		}
	}
	return promote.Standing{Serves: step.Serves, Waits: step.Waits, After: max(soon, step.After), Failed: step.Failed, Reason: step.Reason}, nil
}

// soon is when to look again at the earliest: a version is ready within some
// seconds.
const soon = 3 * time.Second

// next asks what to do with what the cluster has.
func (c *Cluster) next(ctx context.Context, p *state.Pipeline) (serving.Step, error) {
	if p.Config.Spec.Serve.Runtime == "kserve" {
		live, err := c.get(ctx, kserves, p.Name)
		if err != nil {
			return serving.Step{}, err
		}
		return serving.KServe(p, c.settings, live, c.artifacts), nil
	}
	own, err := c.get(ctx, services, template)
	if err != nil {
		return serving.Step{}, err
	}
	name := serving.ServiceName(p.Name)
	live := serving.Live{Now: time.Now()}
	if live.Template, err = templateOf(own); err != nil {
		return serving.Step{}, err
	}
	if live.Service, err = c.get(ctx, services, name); err != nil {
		return serving.Step{}, err
	}
	list, err := c.client.Resource(revisions).Namespace(c.settings.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/service=" + name})
	if err != nil {
		return serving.Step{}, fmt.Errorf("list the revisions of %s: %w", name, err)
	}
	for _, r := range list.Items {
		live.Revisions = append(live.Revisions, r.Object)
	}
	return serving.Knative(p, c.settings, live), nil
}

func templateOf(own serving.Object) (serving.Object, error) {
	t, found, err := unstructured.NestedMap(own, "spec", "template")
	if err != nil || !found {
		return nil, fmt.Errorf("the Service %s is not there, whose template the models' Services have: kubectl apply -k deploy/knative/functions/inference", template)
	}
	return t, nil
}

// get is an object of the namespace, nil when it is not there.
func (c *Cluster) get(ctx context.Context, kind schema.GroupVersionResource, name string) (serving.Object, error) {
	o, err := c.client.Resource(kind).Namespace(c.settings.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && kind.Resource == kserves.Resource && !apierrorNames(err, name):
		return nil, function.Reject(errors.New("the cluster has no KServe: install it, or say serve.runtime: millrace"))
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look at %s %s: %w", kind.Resource, name, err)
	}
	return o.Object, nil
}

// apierrorNames reports whether the error is about the object of that name: a
// missing object, not a missing kind.
func apierrorNames(err error, name string) bool {
	s, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && s.Status().Details != nil && s.Status().Details.Name == name
}

func (c *Cluster) apply(ctx context.Context, step serving.Step) error {
	o := &unstructured.Unstructured{Object: step.Apply}
	kind := services
	if o.GetKind() == "InferenceService" {
		kind = kserves
	}
	_, err := c.client.Resource(kind).Namespace(c.settings.Namespace).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: step.Manager})
	if apierrors.IsConflict(err) {
		if owned := owners(err); owned != "" {
			return function.Reject(fmt.Errorf("the %s %s is not changed: %s. Give these fields up there, then send this dead letter again", o.GetKind(), o.GetName(), owned))
		}
	}
	if err != nil {
		return fmt.Errorf("apply the %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// owners returns which fields another field manager owns, a sentence for each.
func owners(err error) string {
	s, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || s.Status().Details == nil {
		return ""
	}
	var said []string
	for _, cause := range s.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			said = append(said, fmt.Sprintf("%s is not ours (%s)", cause.Field, cause.Message))
		}
	}
	return strings.Join(said, "; ")
}

// refused returns why the cluster refuses an object permanently, "" for any
// other error.
func refused(err error) string {
	if s, ok := errors.AsType[*apierrors.StatusError](err); ok && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) {
		return s.Status().Message
	}
	return ""
}
