package job

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"millrace.dev/functions/train-launcher/runspec"
)

// TrainJobs runs trainings as TrainJobs of Kubeflow Trainer (v2): train.nodes
// pods that train one model together, each with a sidecar. The first pod's model
// is the run's. The first pod that fails reports the failure. It is safe for
// concurrent use.
//
// The pod template is in a TrainingRuntime and not in the TrainJob, whose
// overrides cannot add containers to the runtime's. So each run has a
// TrainingRuntime of its own, with the same name as its TrainJob.
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

// RuntimeForRun returns the TrainingRuntime of a run: the template of its pods. They have the variables
// of torchrun (PET_*), and JOB_COMPLETION_INDEX, beside those of any trainer.
// Nothing restarts within a pod or alone, since the others would wait for it for
// ever: train.retries is how often all pods are made again when one has died.
func RuntimeForRun(s Settings, r runspec.Run) (*unstructured.Unstructured, error) {
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
					"name": "reported", "action": "FailJobSet", "onJobFailureReasons": []any{batchv1.JobReasonPodFailurePolicy, batchv1.JobReasonDeadlineExceeded},
				}},
			},
			"replicatedJobs": []any{map[string]any{"name": node, "template": fields}},
		}},
	})
	withoutNull(out.Object)
	return out, nil
}

// TrainJobForRun returns the TrainJob of a run.
func TrainJobForRun(s Settings, r runspec.Run) *unstructured.Unstructured {
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

func nodes(r runspec.Run) int64 { return int64(max(1, r.Train.Nodes)) }

func object(s Settings, r runspec.Run, kind string, spec map[string]any) *unstructured.Unstructured {
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

// withoutNull removes the nulls that the Go types of Kubernetes write and that
// the schema of a custom resource rejects.
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

// Launch creates the run's TrainingRuntime, TrainJob and Secret unless they exist.
func (c *TrainJobs) Launch(ctx context.Context, r runspec.Run) error {
	like, err := RuntimeForRun(c.settings, r)
	if err != nil {
		return &runspec.Refused{Reason: oneLine(err), Hint: "correct the pipeline's file"}
	}
	if _, err := c.make(ctx, runtimes, like, like.GetName(), r.Key); err != nil {
		return err
	}
	job := TrainJobForRun(c.settings, r)
	owner, err := c.make(ctx, trainJobs, job, job.GetName(), r.Key)
	if err != nil {
		return err
	}
	return c.giveCredentials(ctx, r, owner)
}

// Poll returns how far the run is, from its TrainJob, the Job below it and the pods.
func (c *TrainJobs) Poll(ctx context.Context, pipeline, run string) (runspec.Status, error) {
	name := Name(pipeline, run)
	var t struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	found, err := c.get(ctx, trainJobs, name, &t)
	if err != nil || !found {
		return runspec.Status{}, err
	}
	pods, err := c.podsOf(ctx, pipeline, run)
	if err != nil {
		return runspec.Status{}, err
	}
	status := asJob(t.Status.Conditions)
	if len(status.Conditions) > 0 && status.Conditions[0].Type == batchv1.JobFailed {
		// The Job has the reason: its deadline, or too many failed pods.
		var below batchv1.Job
		if _, err := c.get(ctx, jobs, fmt.Sprintf("%s-%s-0", name, node), &below); err != nil {
			return runspec.Status{}, err
		}
		status.Failed, status.Conditions = below.Status.Failed, append(below.Status.Conditions, status.Conditions...)
	}
	end, err := c.withLog(ctx, Ended(status, pods))
	return runspec.Status{Found: true, Begun: Begun(pods), End: end}, err
}

// asJob converts the conditions of a TrainJob to a Job's status.
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
