package job

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// End is how a run ended, as the cluster tells it.
type End struct {
	OK bool
	// Reason is one sentence, Hint what to do about it; empty when OK.
	Reason, Hint string
	// Pod is the one whose log tells more, "" if none began.
	Pod string
	// ExitCode is the trainer's, if it ended by itself.
	ExitCode int
	// Attempts counts the pods.
	Attempts int
}

// Ended tells whether a Job has come to its end, and how, from its status and
// its pods. A pod whose image cannot be pulled ends the run too: Kubernetes
// would try until the deadline.
func Ended(j *batchv1.Job, pods []corev1.Pod) (End, bool) {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	e := End{Attempts: len(pods)}
	var last *corev1.Pod
	if len(pods) > 0 {
		last = &pods[len(pods)-1]
		if began(last) {
			e.Pod = last.Name
		}
	}
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			e.OK = true
			return e, true
		case batchv1.JobFailed:
			e.explain(c, last)
			return e, true
		}
	}
	if last != nil {
		if reason, hint, ok := unpullable(last); ok {
			e.Reason, e.Hint = reason, hint
			return e, true
		}
	}
	return End{}, false
}

// explain says why a Job failed: by its own condition, else by the last pod.
func (e *End) explain(c batchv1.JobCondition, last *corev1.Pod) {
	if c.Reason == batchv1.JobReasonDeadlineExceeded {
		if last != nil {
			if reason, hint, ok := unpullable(last); ok {
				e.Reason, e.Hint = reason, hint
				return
			}
			if reason, ok := unschedulable(last); ok {
				e.Reason, e.Hint = "the run found no node until its time was over: "+reason, "ask for less in train.resources, or look at train.pod and the nodes"
				return
			}
		}
		e.Reason, e.Hint = "the run took longer than train.timeout", "give it more time, or less data: train.timeout, data.window"
		return
	}
	if last == nil {
		e.Reason = "the Job failed before a pod began: " + sentence(c.Reason, c.Message)
		return
	}
	if last.Status.Reason == "Evicted" {
		e.Reason, e.Hint = "the pod was evicted: "+strings.TrimSpace(last.Status.Message), "ask for what the trainer needs in train.resources (memory, ephemeral-storage)"
		return
	}
	for _, s := range last.Status.ContainerStatuses {
		t := s.State.Terminated
		if s.Name != trainer || t == nil {
			continue
		}
		e.ExitCode = int(t.ExitCode)
		switch {
		case t.Reason == "OOMKilled":
			e.Reason, e.Hint = "the trainer was ended because it was out of memory", "ask for more in train.resources: memory"
		case t.ExitCode != 0:
			e.Reason = fmt.Sprintf("the trainer ended with exit code %d", t.ExitCode)
		}
		if e.Reason != "" {
			return
		}
	}
	for _, s := range last.Status.InitContainerStatuses {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			e.Reason = fmt.Sprintf("the %s of the run ended with exit code %d", s.Name, t.ExitCode)
			e.Hint = "look at its log: kubectl logs " + last.Name + " -c " + s.Name
			return
		}
	}
	e.Reason = "the Job failed: " + sentence(c.Reason, c.Message)
}

// began tells whether the pod's trainer has a log.
func began(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == trainer && (s.State.Running != nil || s.State.Terminated != nil)
	})
}

// unpullable says which image of the pod cannot be had.
func unpullable(p *corev1.Pod) (reason, hint string, ok bool) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := s.State.Waiting
		if w == nil || !slices.Contains([]string{"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}, w.Reason) {
			continue // ErrImagePull is the first try: others follow
		}
		return fmt.Sprintf("the image %s can't be pulled: %s", s.Image, strings.TrimSpace(w.Message)), "look at train.image, and whether the cluster may pull from its registry", true
	}
	return "", "", false
}

func unschedulable(p *corev1.Pod) (reason string, ok bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message, true
		}
	}
	return "", false
}

func sentence(reason, message string) string {
	if message == "" {
		return reason
	}
	return message
}
