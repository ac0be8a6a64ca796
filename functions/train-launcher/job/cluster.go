package job

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
)

// Cluster is where Jobs run. It is safe for concurrent use.
type Cluster struct{ jobs, pods dynamic.ResourceInterface }

// NewCluster is the namespace of a cluster.
func NewCluster(client dynamic.Interface, namespace string) *Cluster {
	return &Cluster{
		jobs: client.Resource(batchv1.SchemeGroupVersion.WithResource("jobs")).Namespace(namespace),
		pods: client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace),
	}
}

// Launch makes the Job unless it is there. Done again, by whomever, it changes
// nothing; a Job of the same name that is another run's is an error.
func (c *Cluster) Launch(ctx context.Context, j *batchv1.Job) error {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(j)
	if err != nil {
		return err
	}
	delete(object, "status")
	_, err = c.jobs.Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{FieldManager: "millrace"})
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return fmt.Errorf("make the Job %s: %w", j.Name, err)
		}
		return nil
	}
	there, err := c.jobs.Get(ctx, j.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look at the Job %s: %w", j.Name, err)
	}
	if key := there.GetAnnotations()[AnnotationKey]; key != j.Annotations[AnnotationKey] {
		return fmt.Errorf("there is a Job %s already, of the run key %q: delete it, or let it end", j.Name, key)
	}
	return nil
}

// Look tells whether the Job has come to its end, and how. found is false when
// there is no such Job: never made, or deleted.
func (c *Cluster) Look(ctx context.Context, name string) (end End, ended, found bool, err error) {
	object, err := c.jobs.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return End{}, false, false, nil
	}
	if err != nil {
		return End{}, false, false, fmt.Errorf("look at the Job %s: %w", name, err)
	}
	var j batchv1.Job
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &j); err != nil {
		return End{}, false, true, fmt.Errorf("read the Job %s: %w", name, err)
	}
	list, err := c.pods.List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + name})
	if err != nil {
		return End{}, false, true, fmt.Errorf("list the pods of the Job %s: %w", name, err)
	}
	pods := make([]corev1.Pod, len(list.Items))
	for i, p := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(p.Object, &pods[i]); err != nil {
			return End{}, false, true, fmt.Errorf("read the pod %s: %w", p.GetName(), err)
		}
	}
	end, ended = Ended(&j, pods)
	return end, ended, true, nil
}
