package job

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"millrace.dev/functions/train-launcher/order"
)

// TrainJobs carries runs out as TrainJobs of Kubeflow Trainer (v2): train.nodes
// pods that train one model together, each with a sidecar. The first pod's model
// is the run's; whichever fails first tells so. It is safe for concurrent use.
//
// What a pod is like stands in a TrainingRuntime, not in the TrainJob, whose
// overrides can name no containers that its runtime lacks. So each run has a
// runtime of its own beside its TrainJob, under one name.
type TrainJobs struct{ *cluster }

// The names that Kubeflow Trainer goes by.
const (
	trainerGroup = "trainer.kubeflow.org"
	// node is the container, and the set of pods, that trains.
	node = "node"
	// ancestor marks the pods of a runtime that train.
	ancestor = trainerGroup + "/trainjob-ancestor-step"
)

var (
	trainerVersion = schema.GroupVersion{Group: trainerGroup, Version: "v1alpha1"}
	trainJobs      = trainerVersion.WithResource("trainjobs")
	runtimes       = trainerVersion.WithResource("trainingruntimes")
)

// RuntimeForRun makes what the pods of a run are like. They have the variables
// of torchrun (PET_*), and JOB_COMPLETION_INDEX, beside those of any trainer.
// Nothing restarts within a pod or alone, since the others would wait for it for
// ever: train.retries is how often all pods are made again when one has died.
func RuntimeForRun(s Settings, r order.Run) (*unstructured.Unstructured, error) {
	pod, err := template(s, r)
	if err != nil {
		return nil, err
	}
	pod.Spec.Containers[0].Name = node
	job := spec(s, r, *pod)
	job.BackoffLimit = new(int32(0))
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&batchv1.JobTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{ancestor: "trainer"}}, Spec: job,
	})
	if err != nil {
		return nil, err
	}
	out := object(s, r, "TrainingRuntime", map[string]any{
		"mlPolicy": map[string]any{"numNodes": nodes(r), "torch": map[string]any{"numProcPerNode": "auto"}},
		"template": map[string]any{"spec": map[string]any{
			"failurePolicy": map[string]any{
				"maxRestarts": int64(r.Train.Retries),
				"rules": []any{map[string]any{
					"name": "told", "action": "FailJobSet", "onJobFailureReasons": []any{batchv1.JobReasonPodFailurePolicy, batchv1.JobReasonDeadlineExceeded},
				}},
			},
			"replicatedJobs": []any{map[string]any{"name": node, "template": fields}},
		}},
	})
	withoutNull(out.Object)
	return out, nil
}

// TrainJobForRun makes the TrainJob of a run.
func TrainJobForRun(s Settings, r order.Run) *unstructured.Unstructured {
	wanted := map[string]any{
		"runtimeRef": map[string]any{"apiGroup": trainerGroup, "kind": "TrainingRuntime", "name": Name(r.Pipeline, r.Run)},
		"trainer":    map[string]any{"numNodes": nodes(r)},
		// The Jobs have the labels too, by which an ApiServerSource finds them.
		"labels": text(labels(r)),
	}
	if s.Queue != "" {
		wanted["suspend"] = true // until Kueue admits it
	}
	out := object(s, r, "TrainJob", wanted)
	if s.Queue != "" {
		all := out.GetLabels()
		all[labelQueue] = s.Queue
		out.SetLabels(all)
	}
	return out
}

func nodes(r order.Run) int64 { return int64(max(1, r.Train.Nodes)) }

func object(s Settings, r order.Run, kind string, spec map[string]any) *unstructured.Unstructured {
	m := meta(s, r, Name(r.Pipeline, r.Run))
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": trainerVersion.String(), "kind": kind,
		"metadata": map[string]any{"name": m.Name, "namespace": m.Namespace, "labels": text(m.Labels), "annotations": text(m.Annotations)},
		"spec":     spec,
	}}
}

func text(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// withoutNull takes out what the Go types of Kubernetes write as null and a
// custom resource's schema does not take.
func withoutNull(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if inner == nil {
				delete(v, k)
			} else {
				withoutNull(inner)
			}
		}
	case []any:
		for _, inner := range v {
			withoutNull(inner)
		}
	}
}

// Launch makes the run's runtime and TrainJob unless they are there.
func (c *TrainJobs) Launch(ctx context.Context, r order.Run) error {
	like, err := RuntimeForRun(c.settings, r)
	if err != nil {
		return &order.Refused{Reason: oneLine(err), Hint: "correct the pipeline's file"}
	}
	if err := c.make(ctx, runtimes, like, like.GetName(), r.Key); err != nil {
		return err
	}
	job := TrainJobForRun(c.settings, r)
	return c.make(ctx, trainJobs, job, job.GetName(), r.Key)
}

// Look tells how far the run is, from its TrainJob, the Job below it and the pods.
func (c *TrainJobs) Look(ctx context.Context, pipeline, run string) (order.Status, error) {
	name := Name(pipeline, run)
	var t struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	found, err := c.get(ctx, trainJobs, name, &t)
	if err != nil || !found {
		return order.Status{}, err
	}
	pods, err := c.podsOf(ctx, pipeline, run)
	if err != nil {
		return order.Status{}, err
	}
	status := asJob(t.Status.Conditions)
	if len(status.Conditions) > 0 && status.Conditions[0].Type == batchv1.JobFailed {
		// The Job knows why: its time was over, or a pod has died too often.
		var below batchv1.Job
		if _, err := c.get(ctx, jobs, fmt.Sprintf("%s-%s-0", name, node), &below); err != nil {
			return order.Status{}, err
		}
		status.Failed, status.Conditions = below.Status.Failed, append(below.Status.Conditions, status.Conditions...)
	}
	end, err := c.told(ctx, Ended(status, pods))
	return order.Status{Found: true, Begun: Begun(pods), End: end}, err
}

// asJob gives how a TrainJob has ended as a Job's status.
func asJob(conditions []metav1.Condition) (s batchv1.JobStatus) {
	for _, c := range conditions {
		kind, ok := map[string]batchv1.JobConditionType{"Complete": batchv1.JobComplete, "Failed": batchv1.JobFailed}[c.Type]
		if ok && c.Status == metav1.ConditionTrue {
			s.Conditions = []batchv1.JobCondition{{Type: kind, Status: "True", Reason: c.Reason, Message: c.Message}}
		}
	}
	return s
}

// Remove deletes the run's TrainJob, its pods, and its runtime.
func (c *TrainJobs) Remove(ctx context.Context, pipeline, run string) error {
	if err := c.remove(ctx, trainJobs, Name(pipeline, run)); err != nil {
		return err
	}
	return c.remove(ctx, runtimes, Name(pipeline, run))
}
