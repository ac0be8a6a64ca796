package job

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/runspec"
)

// End is how a run ended, and the container whose log explains it.
type End struct {
	runspec.End
	// Pod and Container name the container that failed if it is one of ours, else
	// "".
	Pod, Container string
}

// Ended derives how a run ended from the status of its Job and from its pods. It
// returns nil while the run has not ended. What Kubernetes would retry until the
// deadline ends a run too: an image that cannot be pulled, a sidecar that does
// not start.
func Ended(j batchv1.JobStatus, pods []corev1.Pod) *End {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	e := End{}
	e.Attempts = max(len(pods), int(j.Failed)) // pods that are gone count
	var last *corev1.Pod
	if len(pods) > 0 {
		last = &pods[len(pods)-1]
	}
	for _, c := range j.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			e.OK = true
			return &e
		case batchv1.JobFailed:
			e.explain(c.Reason, c.Message, j.Failed, last)
			return &e
		}
	}
	if last != nil && last.DeletionTimestamp == nil && e.hopeless(last) {
		e.Trying = true
		return &e
	}
	return nil
}

// hopeless reports whether the pod will never start, and explains it in e.
func (e *End) hopeless(p *corev1.Pod) bool {
	if reason, hint, ok := unpullable(p); ok {
		e.Reason, e.Hint = reason, hint
		return true
	}
	for _, s := range p.Status.InitContainerStatuses {
		if w := s.State.Waiting; s.Name == sidecar && w != nil && w.Reason == "CrashLoopBackOff" {
			e.blame(p, s.Name, "the sidecar of the run does not start")
			return true
		}
	}
	return false
}

// blame names one of our containers as the cause.
func (e *End) blame(p *corev1.Pod, container, reason string) {
	e.Reason, e.Hint = reason, "read its log: kubectl logs "+p.Name+" -c "+container
	e.Pod, e.Container = p.Name, container
}

// Begun tells whether the newest pod works: the trainer's container and the
// sidecar run, or have ended.
func Begun(pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		side := slices.ContainsFunc(p.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
			return s.Name == sidecar && (s.State.Running != nil || s.State.Terminated != nil)
		})
		return side && slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
			return isTrainer(s.Name) && (s.State.Running != nil || s.State.Terminated != nil)
		})
	})
}

// explain sets why a Job failed, from its condition and from the last pod.
func (e *End) explain(why, message string, failed int32, last *corev1.Pod) {
	switch late := why == batchv1.JobReasonDeadlineExceeded; {
	case last == nil && failed == 0 && late:
		e.Reason, e.Hint = "no pod of the run could be made until its time was over", "the namespace's quota, limits or Pod Security refuse it: kubectl describe job"
		return
	case late:
		e.deadline(last)
		return
	case last == nil && failed == 0:
		e.Reason = "the Job failed before a pod began: " + sentence(why, message)
		return
	case last == nil:
		e.Reason, e.Hint = "the run's pod was deleted, or lost with its node", "`millrace retrain` starts another run"
		return
	}
	if last.Status.Reason == "Evicted" {
		e.Reason, e.Hint = "the pod was evicted: "+strings.TrimSpace(last.Status.Message), "ask for what the trainer needs in train.resources (memory, ephemeral-storage)"
		return
	}
	for _, s := range last.Status.ContainerStatuses {
		t := s.State.Terminated
		if !isTrainer(s.Name) || t == nil {
			continue
		}
		e.ExitCode = int(t.ExitCode)
		switch {
		case t.Reason == "OOMKilled":
			e.Reason, e.Hint = "the trainer was ended because it was out of memory", "ask for more in train.resources: memory"
		case t.ExitCode == runner.ExitReported:
			e.Reason, e.Hint = "the trainer failed", "read its log, if it still exists"
		case t.ExitCode != 0:
			e.Reason = fmt.Sprintf("the trainer's pod ended with exit code %d", t.ExitCode)
		}
		if e.Reason != "" {
			return
		}
	}
	for _, s := range last.Status.InitContainerStatuses {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			e.blame(last, s.Name, fmt.Sprintf("the %s of the run ended with exit code %d", s.Name, t.ExitCode))
			return
		}
	}
	e.Reason = "the Job failed: " + sentence(why, message)
}

// deadline explains a run that exceeded its deadline. Its pod may be gone.
func (e *End) deadline(last *corev1.Pod) {
	if last != nil {
		if e.hopeless(last) {
			return
		}
		if reason, ok := unschedulable(last); ok {
			e.Reason, e.Hint = "the run found no node until its time was over: "+reason, "ask for less in train.resources, or check train.pod and the nodes"
			return
		}
	}
	e.Reason, e.Hint = "the run took longer than train.timeout", "give it more time, or less data: train.timeout, data.window"
}

// isTrainer tells whether a container is the one with the user's image.
func isTrainer(name string) bool { return name == trainer || name == node }

// unpullable returns which image of the pod cannot be pulled.
func unpullable(p *corev1.Pod) (reason, hint string, ok bool) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := s.State.Waiting
		if w == nil || !slices.Contains([]string{"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}, w.Reason) {
			continue // ErrImagePull is the first try: others follow
		}
		return fmt.Sprintf("the image %s cannot be pulled: %s", s.Image, strings.TrimSpace(w.Message)), "check train.image, and whether the cluster may pull from its registry", true
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

// oneLine joins several mistakes on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
