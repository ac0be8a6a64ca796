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
	"millrace.dev/functions/train-launcher/job"
)

var update = flag.Bool("update", false, "write the golden files")

var settings = job.Settings{
	Namespace: "millrace", RunnerImage: "registry.example.com/millrace/runner", Settings: "millrace", ServiceAccount: "trainer",
	TTL: 24 * time.Hour, Slack: 15 * time.Minute,
}

func run(train *config.Train) job.Run {
	return job.Run{Pipeline: "flights", Run: "3f9c0a12b4d5", Key: "3f9c0a12b4d5e6f7", Image: "registry.example.com/flights-trainer@sha256:00", Train: train}
}

// TestGolden: the Jobs of a plain run, and of one that asks for everything.
func TestGolden(t *testing.T) {
	queued := settings
	queued.Queue = "training"
	for name, c := range map[string]struct {
		settings job.Settings
		train    *config.Train
	}{
		"plain": {settings, &config.Train{Command: []string{"python", "train.py"}, Timeout: config.Duration(time.Hour), Retries: 2}},
		"full": {queued, &config.Train{
			Command: []string{"python", "train.py"}, Timeout: config.Duration(30 * time.Minute), Retries: 1,
			Env:       map[string]config.EnvValue{"OMP_NUM_THREADS": {Value: "2"}, "TOKEN": {Secret: "hub/token"}},
			Resources: map[string]config.Quantity{"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
			Pod: map[string]any{
				"labels":       map[string]any{"team": "risk"},
				"nodeSelector": map[string]any{"accelerator": "a100"},
				"tolerations":  []any{map[string]any{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}},
				"volumes":      []any{map[string]any{"name": "shm", "emptyDir": map[string]any{"medium": "Memory"}}},
				"containers":   []any{map[string]any{"name": "trainer", "volumeMounts": []any{map[string]any{"name": "shm", "mountPath": "/dev/shm"}}}},
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := job.New(c.settings, run(c.train))
			if err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(j)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got\n%s\nrun the test with -update if that is right", got)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	r := run(&config.Train{
		Resources: map[string]config.Quantity{"memory": "lots"},
		Pod: map[string]any{
			"serviceAccountName": "admin", "hostNetwork": true,
			"volumes":    []any{map[string]any{"name": "run", "hostPath": map[string]any{"path": "/"}}},
			"containers": []any{map[string]any{"name": "sidecar", "image": "mine"}, map[string]any{"name": "trainer", "command": []any{"sh"}}},
		},
	})
	r.Image = ""
	_, err := job.New(settings, r)
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		`train.resources: memory is "lots"`, "train.image is missing", "may not set serviceAccountName", "may not set hostNetwork",
		"may not mount the node's folder /", "may not replace the volume run", `the container trainer alone, not "sidecar"`, "may not set command",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks: %s", err, want)
		}
	}
	r = run(&config.Train{Pod: map[string]any{"nodeSelektor": map[string]any{}}})
	if _, err := job.New(settings, r); err == nil || !strings.Contains(err.Error(), "nodeSelektor") {
		t.Errorf("got %v", err)
	}
}

func TestName(t *testing.T) {
	for pipeline, want := range map[string]string{
		"flights":               "train-flights-3f9c0a12b4d5",
		strings.Repeat("a", 63): "train-" + strings.Repeat("a", 44) + "-3f9c0a12b4d5",
	} {
		if got := job.Name(pipeline, "3f9c0a12b4d5"); got != want || len(got) > 63 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestEnded: each way in which a run ends without a word of its own.
func TestEnded(t *testing.T) {
	failed := func(reason, message string) batchv1.JobCondition {
		return batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, Message: message}
	}
	ended := func(code int32, reason string) corev1.Pod {
		p := corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "trainer", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}},
		}}}}
		p.Name = "pod"
		return p
	}
	waiting := func(reason string) corev1.Pod {
		return corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "trainer", Image: "nowhere/x", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "not found"}},
		}}}}
	}
	evicted := corev1.Pod{Status: corev1.PodStatus{Reason: "Evicted", Message: "The node was low on resource: memory."}}
	stuck := corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"}}}}
	for name, c := range map[string]struct {
		conditions []batchv1.JobCondition
		pods       []corev1.Pod
		under      bool
		want       job.End
	}{
		"under way":            {pods: []corev1.Pod{{}}, under: true},
		"first pull failed":    {pods: []corev1.Pod{waiting("ErrImagePull")}, under: true},
		"complete":             {conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}, pods: []corev1.Pod{ended(0, "Completed")}, want: job.End{OK: true, Pod: "pod", Attempts: 1}},
		"exit code":            {[]batchv1.JobCondition{failed("BackoffLimitExceeded", "")}, []corev1.Pod{ended(3, "Error"), ended(3, "Error")}, false, job.End{Reason: "the trainer ended with exit code 3", ExitCode: 3, Pod: "pod", Attempts: 2}},
		"out of memory":        {[]batchv1.JobCondition{failed("BackoffLimitExceeded", "")}, []corev1.Pod{ended(137, "OOMKilled")}, false, job.End{Reason: "out of memory", ExitCode: 137, Pod: "pod", Attempts: 1}},
		"evicted":              {[]batchv1.JobCondition{failed("BackoffLimitExceeded", "")}, []corev1.Pod{evicted}, false, job.End{Reason: "evicted: The node was low", Attempts: 1}},
		"deadline":             {[]batchv1.JobCondition{failed("DeadlineExceeded", "")}, []corev1.Pod{ended(143, "Error")}, false, job.End{Reason: "longer than train.timeout", Pod: "pod", Attempts: 1}},
		"no node":              {[]batchv1.JobCondition{failed("DeadlineExceeded", "")}, []corev1.Pod{stuck}, false, job.End{Reason: "no node until its time was over: 0/3", Attempts: 1}},
		"image":                {pods: []corev1.Pod{waiting("ImagePullBackOff")}, want: job.End{Reason: "the image nowhere/x can't be pulled: not found", Attempts: 1}},
		"no pod":               {conditions: []batchv1.JobCondition{failed("FailedCreate", "quota exceeded")}, want: job.End{Reason: "before a pod began: quota exceeded"}},
		"failed for no reason": {[]batchv1.JobCondition{failed("BackoffLimitExceeded", "the limit was reached")}, []corev1.Pod{{}}, false, job.End{Reason: "the Job failed: the limit was reached", Attempts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := job.Ended(&batchv1.Job{Status: batchv1.JobStatus{Conditions: c.conditions}}, c.pods)
			if ok == c.under {
				t.Fatalf("ended: %t, %+v", ok, got)
			}
			if !strings.Contains(got.Reason, c.want.Reason) || got.OK != c.want.OK || got.Pod != c.want.Pod || got.ExitCode != c.want.ExitCode || got.Attempts != c.want.Attempts {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
