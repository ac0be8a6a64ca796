package job_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/job"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/runspec"
)

var update = flag.Bool("update", false, "write the golden files")

var settings = job.Settings{
	Namespace: "millrace", RunnerImage: "registry.example.com/millrace/runner", SidecarImage: "registry.example.com/millrace/sidecar",
	Settings: "millrace", ServiceAccount: "trainer",
	TTL: 24 * time.Hour, Slack: 15 * time.Minute,
}

func run(train *config.Train) runspec.Run {
	return runspec.Run{
		Pipeline: "flights", Run: "3f9c0a12b4d5", Key: "3f9c0a12b4d5e6f7", Image: "registry.example.com/flights-trainer@sha256:00", Train: train,
		Spec: events.Ref{URL: "sha256/aa.json", Digest: "sha256:aa", Size: 1200},
	}
}

// runs are a plain run, and one that asks for everything.
func runs() map[string]runspec.Run {
	return map[string]runspec.Run{
		"plain": run(&config.Train{Command: []string{"python", "train.py"}, Timeout: config.Duration(time.Hour), Retries: 2}),
		"full": run(&config.Train{
			Command: []string{"python", "train.py"}, Timeout: config.Duration(30 * time.Minute), Retries: 1, Nodes: 4,
			Env:       map[string]config.EnvValue{"OMP_NUM_THREADS": {Value: "2"}, "TOKEN": {Secret: "hub/token"}},
			Resources: map[string]config.Quantity{"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
			Pod: map[string]any{
				"labels":       map[string]any{"team": "risk"},
				"nodeSelector": map[string]any{"accelerator": "a100"},
				"tolerations":  []any{map[string]any{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}},
				"volumes":      []any{map[string]any{"name": "shm", "emptyDir": map[string]any{"medium": "Memory"}}},
				"containers":   []any{map[string]any{"name": "trainer", "volumeMounts": []any{map[string]any{"name": "shm", "mountPath": "/dev/shm"}}}},
			},
		}),
	}
}

// settingsOf are those of a run of runs: the one that asks for everything queues.
func settingsOf(name string) job.Settings {
	s := settings
	if name == "full" {
		s.Queue = "training"
	}
	return s
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, r := range runs() {
		t.Run(name, func(t *testing.T) {
			j, err := job.ForRun(settingsOf(name), r)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, j)
		})
	}
}

// golden holds objects against the file of the name.
func golden(t *testing.T, name string, objects ...any) {
	t.Helper()
	var docs []string
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(text))
	}
	got, file := strings.Join(docs, "---\n"), filepath.Join("testdata", name+".yaml")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nrun the test with -update if that is right", got)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	r := run(&config.Train{
		Env: map[string]config.EnvValue{
			"KEY": {Secret: "millrace/AWS_SECRET_ACCESS_KEY"}, "ADMIN": {Secret: "nats-admin/seed"}, "OTHER": {Secret: "train-flights-r1/MILLRACE_NATS_SEED"},
		},
		Resources: map[string]config.Quantity{"memory": "lots"},
		Pod: map[string]any{
			"serviceAccountName": "admin", "hostNetwork": true,
			"volumes": []any{
				map[string]any{"name": "run", "hostPath": map[string]any{"path": "/"}},
				map[string]any{"name": "mine", "secret": map[string]any{"secretName": "millrace"}},
			},
			"containers": []any{map[string]any{"name": "sidecar", "image": "mine"}, map[string]any{"name": "trainer", "command": []any{"sh"}}},
		},
	})
	_, err := job.ForRun(settings, r)
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		`train.resources: memory is "lots"`, "train.env.KEY may not be of the Secret millrace", "train.env.ADMIN may not be of the Secret nats-admin", "train.env.OTHER may not be of the Secret train-flights-r1", "train.pod.volumes[1].secret is not for a pipeline to set",
		"train.pod.serviceAccountName is not for a pipeline to set: it is the installation's; allowed: affinity,", "train.pod.hostNetwork is not",
		"train.pod.volumes[0].hostPath is not", `train.pod.volumes[0].name "run" is a volume of the installation`, `train.pod.containers[0].name "sidecar" is not the container trainer`,
		"train.pod.containers[1].command is not for a pipeline to set: train.command does",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks: %s", err, want)
		}
	}
	r = run(&config.Train{Pod: map[string]any{"nodeSelektor": map[string]any{}}})
	if _, err := job.ForRun(settings, r); err == nil || !strings.Contains(err.Error(), "nodeSelektor") {
		t.Errorf("got %v", err)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	for pipeline, want := range map[string]string{
		"flights":               "train-flights-3f9c0a12b4d5",
		strings.Repeat("a", 63): "train-" + strings.Repeat("a", 44) + "-3f9c0a12b4d5",
	} {
		if got := job.Name(pipeline, "3f9c0a12b4d5"); got != want || len(got) > 63 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestEnded: each way in which a run ends without reporting it.
func TestEnded(t *testing.T) {
	t.Parallel()
	failed := func(reason, message string) batchv1.JobStatus {
		return batchv1.JobStatus{Failed: 1, Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, Message: message}}}
	}
	unmade, refused := failed("DeadlineExceeded", ""), failed("FailedCreate", "quota exceeded")
	unmade.Failed, refused.Failed = 0, 0
	pod := func(init, main []corev1.ContainerStatus) corev1.Pod {
		p := corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: init, ContainerStatuses: main}}
		p.Name = "pod"
		return p
	}
	ended := func(name string, code int32, reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}}
	}
	waits := func(name, reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: name, Image: "nowhere/x", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "not found"}}}}
	}
	complete := batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}
	var none batchv1.JobStatus
	trainer := func(code int32, reason string) corev1.Pod { return pod(nil, ended("trainer", code, reason)) }
	evicted := corev1.Pod{Status: corev1.PodStatus{Reason: "Evicted", Message: "The node was low on resource: memory."}}
	stuck := corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"}}}}
	for name, c := range map[string]struct {
		status batchv1.JobStatus
		pods   []corev1.Pod
		// want is the reason, or what it contains; "" while the run is under way.
		want string
		end  job.End
	}{
		"under way":              {pods: []corev1.Pod{{}}},
		"first pull failed":      {pods: []corev1.Pod{pod(nil, waits("trainer", "ErrImagePull"))}},
		"complete":               {complete, []corev1.Pod{trainer(0, "Completed")}, "", job.End{End: runspec.End{OK: true, Attempts: 1}}},
		"told":                   {failed("PodFailurePolicy", ""), []corev1.Pod{trainer(runner.ExitReported, "Error")}, "the trainer failed", job.End{End: runspec.End{ExitCode: runner.ExitReported, Attempts: 1}}},
		"exit code":              {failed("BackoffLimitExceeded", ""), []corev1.Pod{trainer(3, "Error"), trainer(3, "Error")}, "pod ended with exit code 3", job.End{End: runspec.End{ExitCode: 3, Attempts: 2}}},
		"out of memory":          {failed("BackoffLimitExceeded", ""), []corev1.Pod{trainer(137, "OOMKilled")}, "out of memory", job.End{End: runspec.End{ExitCode: 137, Attempts: 1}}},
		"node out of memory":     {failed("BackoffLimitExceeded", ""), []corev1.Pod{pod(nil, ended("node", 137, "OOMKilled"))}, "out of memory", job.End{End: runspec.End{ExitCode: 137, Attempts: 1}}},
		"evicted":                {failed("BackoffLimitExceeded", ""), []corev1.Pod{evicted}, "evicted: The node was low", job.End{End: runspec.End{Attempts: 1}}},
		"deadline":               {failed("DeadlineExceeded", ""), []corev1.Pod{trainer(143, "Error")}, "longer than train.timeout", job.End{End: runspec.End{Attempts: 1}}},
		"deadline, no pod":       {failed("DeadlineExceeded", ""), nil, "longer than train.timeout", job.End{End: runspec.End{Attempts: 1}}},
		"no pod by the deadline": {unmade, nil, "no pod of the run could be made", job.End{}},
		"no node":                {failed("DeadlineExceeded", ""), []corev1.Pod{stuck}, "no node until its time was over: 0/3", job.End{End: runspec.End{Attempts: 1}}},
		"image":                  {none, []corev1.Pod{pod(nil, waits("trainer", "ImagePullBackOff"))}, "the image nowhere/x cannot be pulled: not found", job.End{End: runspec.End{Attempts: 1, Trying: true}}},
		"install":                {failed("BackoffLimitExceeded", ""), []corev1.Pod{pod(ended("runner", 1, "Error"), nil)}, "the runner of the run ended with exit code 1", job.End{End: runspec.End{Attempts: 1}, Pod: "pod", Container: "runner"}},
		"sidecar":                {none, []corev1.Pod{pod(waits("sidecar", "CrashLoopBackOff"), nil)}, "the sidecar of the run does not start", job.End{End: runspec.End{Attempts: 1, Trying: true}, Pod: "pod", Container: "sidecar"}},
		"no pod":                 {refused, nil, "before a pod began: quota exceeded", job.End{}},
		"pod was deleted":        {failed("BackoffLimitExceeded", ""), nil, "deleted, or lost with its node", job.End{End: runspec.End{Attempts: 1}}},
		"failed for no reason":   {failed("BackoffLimitExceeded", "the limit was reached"), []corev1.Pod{{}}, "the Job failed: the limit was reached", job.End{End: runspec.End{Attempts: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := job.Ended(c.status, c.pods)
			if got == nil {
				if c.want != "" || c.end.OK {
					t.Fatal("the run has not ended")
				}
				return
			}
			if !strings.Contains(got.Reason, c.want) || got.OK != (c.want == "") {
				t.Errorf("the reason is %q", got.Reason)
			}
			got.Reason, got.Hint = "", ""
			if *got != c.end {
				t.Errorf("got %+v, want %+v", *got, c.end)
			}
		})
	}
}

func TestBegun(t *testing.T) {
	t.Parallel()
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	pod := func(side, main corev1.ContainerState) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "runner", State: running}, {Name: "sidecar", State: side}},
			ContainerStatuses:     []corev1.ContainerStatus{{Name: "trainer", State: main}},
		}}
	}
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want bool
	}{
		"no pod":       {nil, false},
		"no trainer":   {[]corev1.Pod{pod(running, corev1.ContainerState{})}, false},
		"no sidecar":   {[]corev1.Pod{pod(corev1.ContainerState{}, running)}, false},
		"both":         {[]corev1.Pod{pod(running, running)}, true},
		"a second pod": {[]corev1.Pod{pod(corev1.ContainerState{}, corev1.ContainerState{}), pod(running, running)}, true},
	} {
		if got := job.Begun(c.pods); got != c.want {
			t.Errorf("%s: begun %t", name, got)
		}
	}
}
