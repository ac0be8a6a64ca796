package job

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"millrace.dev/functions/train-launcher/runspec"
)

// cluster is the namespace of a cluster in which runs are carried out. It is
// safe for concurrent use.
type cluster struct {
	settings Settings
	objects  dynamic.Interface
	// http and host are for logs, which are no objects.
	http *http.Client
	host string
}

func connect(to *rest.Config, s Settings) (*cluster, error) {
	client, err := rest.HTTPClientFor(to)
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(to, client)
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API: %w", err)
	}
	host, _, err := rest.DefaultServerUrlFor(to)
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API: %w", err)
	}
	return &cluster{settings: s, objects: objects, http: client, host: host.String()}, nil
}

func (c *cluster) of(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	return c.objects.Resource(resource).Namespace(c.settings.Namespace)
}

// make creates the object unless it exists, and returns the reference by which others
// belong to it. An object of this name that belongs to another run is an error. A *runspec.Refused says that the cluster does not
// accept the object.
func (c *cluster) make(ctx context.Context, resource schema.GroupVersionResource, object runtime.Object, name, key string) (owner metav1.OwnerReference, err error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return owner, err
	}
	delete(fields, "status")
	what := &unstructured.Unstructured{Object: fields}
	there, err := c.of(resource).Create(ctx, what, metav1.CreateOptions{FieldManager: "millrace", FieldValidation: metav1.FieldValidationStrict})
	switch {
	case err == nil:
		return reference(there), nil
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		return owner, &runspec.Refused{Reason: fmt.Sprintf("the cluster does not take the run: %v", err), Hint: "check train.resources and train.pod"}
	case !apierrors.IsAlreadyExists(err):
		return owner, fmt.Errorf("make the %s %s: %w", what.GetKind(), name, err)
	}
	there, err = c.of(resource).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return owner, fmt.Errorf("read the %s %s: %w", what.GetKind(), name, err)
	}
	if other := there.GetAnnotations()[AnnotationKey]; other != key {
		return owner, fmt.Errorf("there is a %s %s already, of the run key %q: delete it, or let it end", what.GetKind(), name, other)
	}
	return reference(there), nil
}

func reference(object *unstructured.Unstructured) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Name: object.GetName(), UID: object.GetUID()}
}

// get reads an object into v. It returns false if the object does not exist.
func (c *cluster) get(ctx context.Context, resource schema.GroupVersionResource, name string, v any) (bool, error) {
	object, err := c.of(resource).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, v)
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", resource.Resource, name, err)
	}
	return true, nil
}

// remove deletes an object and its dependents. It is not an error if the object
// does not exist.
func (c *cluster) remove(ctx context.Context, resource schema.GroupVersionResource, name string) error {
	err := c.of(resource).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove %s %s: %w", resource.Resource, name, err)
	}
	return nil
}

// podsOf returns the pods of a run.
func (c *cluster) podsOf(ctx context.Context, pipeline, run string) ([]corev1.Pod, error) {
	selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: map[string]string{LabelPipeline: pipeline, LabelRun: run}})
	list, err := c.of(corev1.SchemeGroupVersion.WithResource("pods")).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list the pods of run %s: %w", run, err)
	}
	pods := make([]corev1.Pod, len(list.Items))
	for i, p := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(p.Object, &pods[i]); err != nil {
			return nil, fmt.Errorf("read the pod %s: %w", p.GetName(), err)
		}
	}
	return pods, nil
}

// How much is read of the log of one of our containers.
const (
	logLines = "20"
	logBytes = 8 << 10
)

// log returns the last lines of a container, "" if they are gone.
func (c *cluster) log(ctx context.Context, pod, container string) (string, error) {
	query := url.Values{"container": {container}, "tailLines": {logLines}, "limitBytes": {fmt.Sprint(logBytes)}}
	at := fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s/log?%s", c.host, c.settings.Namespace, pod, query.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return "", fmt.Errorf("read the log of the pod %s: %w", pod, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, logBytes))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the log of the pod %s: %w", pod, err)
	case answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusBadRequest:
		return "", nil // the pod is gone, or its container has not begun
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("read the log of the pod %s: %s", pod, answer.Status)
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD")), nil
}

// withLog adds the end of the log to an end that one of our containers caused. It
// returns nil for nil.
func (c *cluster) withLog(ctx context.Context, e *End) (end *runspec.End, err error) {
	if e == nil {
		return end, nil
	}
	if e.Container != "" {
		e.LogTail, err = c.log(ctx, e.Pod, e.Container)
	}
	return &e.End, err
}
