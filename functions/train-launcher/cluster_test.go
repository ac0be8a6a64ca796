package trainlauncher_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"millrace.dev/events"
	trainlauncher "millrace.dev/functions/train-launcher"
	"millrace.dev/functions/train-launcher/job"
	"millrace.dev/functions/train-launcher/job/jobtest"
	"millrace.dev/functions/train-launcher/result"
	"millrace.dev/functions/train-launcher/runner"
	"millrace.dev/functions/train-launcher/sidecar"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

const image = "registry.example.com/trainer@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// clusterEnv is an env whose runs are Jobs.
type clusterEnv struct {
	*env
	api *jobtest.API
	f   *trainlauncher.F
}

func newClusterEnv(t *testing.T, script, train string) *clusterEnv {
	t.Helper()
	w := &clusterEnv{env: newEnv(t, script, options{train: "image: " + image + "\n    " + train}), api: jobtest.New(t)}
	w.f = w.launcher()
	return w
}

// launcher is another launcher: what one knows, the next must find out.
func (w *clusterEnv) launcher() *trainlauncher.F {
	w.t.Helper()
	f, err := job.On(w.api.Config(), job.Config{Config: w.cfg, Settings: job.Settings{
		Namespace: jobtest.Namespace, RunnerImage: "runner", SidecarImage: "sidecar", Settings: "millrace", ServiceAccount: "trainer",
		TTL: time.Hour, Slack: time.Minute, Resolve: true,
	}}, w.Deps(w.t, trainlauncher.Name))
	must(w.t, err)
	return f
}

// decide hands an event to a launcher that has just woken.
func (w *clusterEnv) decide(e events.Envelope) []events.Envelope {
	w.t.Helper()
	return w.Handle(w.t, w.launcher(), trainlauncher.Name, e)
}

// started uploads data and has the launcher decide on it.
func (w *clusterEnv) started() events.Envelope {
	w.t.Helper()
	return w.start(w.upload(0, 100))
}

// start is the training.started that an event leads to.
func (w *clusterEnv) start(e events.Envelope) events.Envelope {
	w.t.Helper()
	out := w.decide(e)
	i := slices.IndexFunc(out, func(e events.Envelope) bool { return e.Type == events.TrainingStarted{}.EventType() })
	if i < 0 {
		w.t.Fatalf("the launcher announced %s: %s", out[0].Type, out[0].Data)
	}
	return out[i]
}

// jobChanges sends what an ApiServerSource sends, through the internal gateway,
// and returns how the run has ended then, if it has.
func (w *clusterEnv) jobChanges(name string) *events.TrainingFailed {
	w.t.Helper()
	ctx := functiontest.Context(w.t)
	data, err := json.Marshal(map[string]string{"kind": "Job", "name": name, "namespace": jobtest.Namespace, "apiVersion": "batch/v1"})
	must(w.t, err)
	done, err := w.Log.AppendForeign(ctx, events.Envelope{
		Header: events.Header{ID: rand.Text(), Source: "https://10.96.0.1:443", Type: "dev.knative.apiserver.ref.update"}, Data: data,
	})
	must(w.t, err)
	if out := w.decide(done.Events[0]); len(out) != 1 || out[0].Type != (events.EventHandled{}).EventType() {
		w.t.Fatalf("the launcher announced %s: %s", out[0].Type, out[0].Data)
	}
	failed := w.Events(w.t, "flights", events.TrainingFailed{}.EventType())
	if len(failed) == 0 {
		return nil
	}
	d := functiontest.Data[events.TrainingFailed](w.t, failed[0])
	return &d
}

// TestJobGivesModel: the chain of a run on a cluster. The launcher is not there
// while the pod works.
func TestJobGivesModel(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, goodTrainer, "")
	start := w.started()
	run := functiontest.Data[events.TrainingStarted](t, start)
	if run.Runtime != "job" || run.Code != image {
		t.Errorf("the run began as %+v", run)
	}
	if out := w.Deliver(t, w.launcher(), trainlauncher.Name, start); !out.Deferred || len(w.api.Jobs()) != 1 {
		t.Fatalf("%+v, Jobs %v", out, w.api.Jobs())
	}
	k := w.kubelet(w.api.Jobs()[0])
	if exit := k.wait(); exit != 0 {
		t.Fatalf("the runner ended with %d: %s", exit, k.shown())
	}
	if got := k.shown(); got != "training with --rate=0.1\n" {
		t.Errorf("the pod's log is %q", got)
	}
	done := await[events.TrainingCompleted](w.env, nil)
	if done.CausationID != start.ID || done.Data.Metrics["auc"] != 0.75 || w.text(done.Data.Model.Files[0].Ref) != file(t, "model.onnx") {
		t.Errorf("the run ended as %+v", done)
	}
	if n := count[events.TrainingProgressed](w.env); n == 0 {
		t.Error("no progress was told")
	}
	// Later events of the cluster about it change nothing; nor does a second delivery.
	k.end()
	if failed := w.jobChanges(w.api.Jobs()[0]); failed != nil {
		t.Errorf("it failed afterwards: %+v", failed)
	}
	w.decide(start)
	if s := w.State(t, "flights"); s.Run(run.Run).Status != state.RunCompleted || len(s.Models) != 1 {
		t.Errorf("the run is %+v", s.Run(run.Run))
	}
}

func TestJobFails(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, "echo no luck; exit 3", "")
	w.Deliver(t, w.launcher(), trainlauncher.Name, w.started())
	k := w.kubelet(w.api.Jobs()[0])
	if exit := k.wait(); exit != runner.ExitReported {
		t.Errorf("the runner ended with %d", exit)
	}
	failed := await[events.TrainingFailed](w.env, nil)
	if failed.Data.ExitCode != 3 || failed.Data.LogTail != "no luck" || !strings.Contains(failed.Data.Reason, "exit code 3: no luck") {
		t.Errorf("%+v", failed.Data)
	}
	k.end()
	w.jobChanges(w.api.Jobs()[0])
	if n := count[events.TrainingFailed](w.env); n != 1 {
		t.Errorf("it failed %d times", n)
	}
}

// An invalid model fails the pod too, though the trainer succeeded.
func TestJobLeavesNoModel(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, "true", "")
	w.Deliver(t, w.launcher(), trainlauncher.Name, w.started())
	if exit := w.kubelet(w.api.Jobs()[0]).wait(); exit != runner.ExitReported {
		t.Errorf("the runner ended with %d", exit)
	}
	if failed := await[events.TrainingFailed](w.env, nil); !strings.Contains(failed.Data.Reason, "left no model.onnx") {
		t.Errorf("%+v", failed.Data)
	}
}

// A pod that is evicted reports nothing, and leaves the last lines; the launcher
// says why when the cluster has given up.
func TestPodIsEvicted(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, `echo first; echo last; touch "$MILLRACE_OUTPUT/at-work"; exec sleep 600`, "")
	w.Deliver(t, w.launcher(), trainlauncher.Name, w.started())
	name := w.api.Jobs()[0]
	k := w.kubelet(name)
	until(t, "the trainer is at work", func() bool { return exists(filepath.Join(k.folder.Output(), "at-work")) })
	must(t, k.runner.Process.Signal(syscall.SIGTERM))
	if exit := k.wait(); exit != 143 {
		t.Errorf("the runner ended with %d", exit)
	}
	k.stop()
	if n := count[events.TrainingFailed](w.env); n != 0 {
		t.Fatal("the pod spoke for the cluster")
	}
	pod := corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}}
	pod.Name = "pod"
	w.api.End(t, name, batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "BackoffLimitExceeded"}, pod)
	failed := w.jobChanges(name)
	if failed == nil || !strings.Contains(failed.Reason, "evicted: The node was low") || !strings.HasPrefix(failed.LogTail, "first\nlast") || failed.Attempts != 1 {
		t.Fatalf("%+v", failed)
	}
}

// TestUnreportedEnds: the launcher reports the end of pods that could not.
func TestUnreportedEnds(t *testing.T) {
	t.Parallel()
	container := func(name string, s corev1.ContainerState) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, Image: "registry.example.com/x", State: s}
	}
	over := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
	}
	waits := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	pod := func(init, main corev1.ContainerStatus) []corev1.Pod {
		p := corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{init}, ContainerStatuses: []corev1.ContainerStatus{main}}}
		p.Name = "pod"
		return []corev1.Pod{p}
	}
	none := corev1.ContainerStatus{}
	for name, c := range map[string]struct {
		condition      batchv1.JobCondition
		pods           []corev1.Pod
		reason, tail   string
		kept, removed  bool
		log, container string
	}{
		"out of memory": {
			condition: batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "BackoffLimitExceeded"}, pods: pod(none, container("trainer", over(137, "OOMKilled"))),
			reason: "out of memory", kept: true, tail: "epoch 3",
		},
		"deadline": {condition: batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "DeadlineExceeded"}, reason: "longer than train.timeout", kept: true, tail: "epoch 3"},
		"image":    {pods: pod(none, container("trainer", waits("ImagePullBackOff", "not found"))), reason: "cannot be pulled: not found", removed: true},
		"sidecar": {
			pods: pod(container("sidecar", waits("CrashLoopBackOff", "")), none), reason: "the sidecar of the run does not start",
			container: "sidecar", log: "MILLRACE_NATS is not set", tail: "MILLRACE_NATS is not set", removed: true,
		},
		"success without a result": {condition: batchv1.JobCondition{Type: batchv1.JobComplete}, pods: pod(none, container("trainer", over(0, "Completed"))), reason: "did not report a result"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newClusterEnv(t, "true", "")
			start := w.started()
			w.Deliver(t, w.launcher(), trainlauncher.Name, start)
			job := w.api.Jobs()[0]
			if c.kept {
				must(t, result.KeepTail(t.Context(), w.Log, "flights", functiontest.Data[events.TrainingStarted](t, start).Run, c.tail))
			}
			if c.container != "" {
				w.api.SetLog("pod", c.container, c.log+"\n")
			}
			w.api.End(t, job, c.condition, c.pods...)
			failed := w.jobChanges(job)
			if failed == nil || !strings.Contains(failed.Reason, c.reason) || failed.LogTail != c.tail {
				t.Fatalf("%+v", failed)
			}
			if removed := len(w.api.Jobs()) == 0; removed != c.removed {
				t.Errorf("the Job was removed: %t", removed)
			}
			w.jobChanges(job)
			if n := count[events.TrainingFailed](w.env); n != 1 {
				t.Errorf("it failed %d times", n)
			}
		})
	}
}

// A Job that was never created, or was deleted, is created at the next tick.
func TestTickMakesJob(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, "true", "")
	w.started()
	tick := w.Announce(t, "flights", "gateway", events.ScheduleTicked{Schedule: "tick", Action: "tick", Due: "2026-01-01T00:00:00Z"})[0]
	w.decide(tick)
	if got := w.api.Jobs(); len(got) != 1 {
		t.Errorf("Jobs %v", got)
	}
}

// Several launchers that receive the event of a run make one Job.
func TestOneJobARun(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, "true", "")
	start := w.started()
	var all sync.WaitGroup
	for range 4 {
		f := w.launcher()
		all.Go(func() { w.Deliver(t, f, trainlauncher.Name, start) })
	}
	all.Wait()
	if got := w.api.Jobs(); len(got) != 1 {
		t.Errorf("Jobs %v", got)
	}
}

// What the cluster does not take, and what the pipeline's file cannot have, fails
// the run; what only an image lacks starts none.
func TestRunIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ train, invalid, reason string }{
		"by the cluster":  {"", "spec.template.spec.containers[0].resources: too much", "does not take the run: spec.template"},
		"by the launcher": {"env: {TOKEN: {secret: millrace/token}}", "", "may not be of the Secret millrace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newClusterEnv(t, "true", c.train)
			start := w.started()
			w.api.Refuse(c.invalid)
			w.decide(start)
			if failed := await[events.TrainingFailed](w.env, nil); !strings.Contains(failed.Data.Reason, c.reason) {
				t.Errorf("%+v", failed.Data)
			}
		})
	}
	t.Run("without an image", func(t *testing.T) {
		t.Parallel()
		w := newClusterEnv(t, "true", "")
		w.env = newEnv(t, "true", options{})
		if out := w.decide(w.upload(0, 100)); !strings.Contains(functiontest.Data[events.TrainingSkipped](t, out[0]).Reason, "train.image is missing") {
			t.Errorf("%s", out[0].Data)
		}
	})
}

// TestTrainJob: what runs as several pods is a TrainJob, and goes with the next.
func TestTrainJob(t *testing.T) {
	t.Parallel()
	w := newClusterEnv(t, "true", "runtime: trainjob\n    nodes: 2")
	const group = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/" + jobtest.Namespace
	there := func() []string {
		return slices.Concat(w.api.Names(group+"/trainingruntimes"), w.api.Names(group+"/trainjobs"))
	}
	start := w.started()
	w.Deliver(t, w.launcher(), trainlauncher.Name, start)
	run := functiontest.Data[events.TrainingStarted](t, start)
	name := job.Name("flights", run.Run)
	if got := there(); run.Runtime != "trainjob" || !slices.Equal(got, []string{name, name}) {
		t.Fatalf("%s, %v", run.Runtime, got)
	}
	w.api.Put(t, group+"/trainjobs", &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": map[string]any{"name": name},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Failed", "status": "True", "reason": "JobsFailed", "message": "jobset failed"}}},
	}})
	if failed := w.jobChanges(name + "-node-0"); failed == nil || !strings.Contains(failed.Reason, "jobset failed") {
		t.Fatalf("%+v", failed)
	}
	again := w.start(w.request(events.TrainingRequested{}))
	w.Deliver(t, w.launcher(), trainlauncher.Name, again)
	second := job.Name("flights", functiontest.Data[events.TrainingStarted](t, again).Run)
	if got := there(); !slices.Equal(got, []string{second, second}) {
		t.Errorf("%v is there, want %s", got, second)
	}
}

// kubelet carries a Job's pod out: the sidecar, and the runner in the user's image.
type kubelet struct {
	w       *clusterEnv
	job     string
	folder  runner.Folder
	runner  *exec.Cmd
	out     *os.File
	stop    func()
	sidecar chan error
}

func (w *clusterEnv) kubelet(name string) *kubelet {
	w.t.Helper()
	t := w.t
	spec := podOf(t, w.api, name)
	k := &kubelet{w: w, job: name, folder: runner.Folder(t.TempDir()), sidecar: make(chan error, 1)}
	var ref events.Ref
	env := spec.InitContainers[1].Env
	i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == "MILLRACE_ORDER" })
	must(t, json.Unmarshal([]byte(env[i].Value), &ref))
	s := sidecar.Sidecar{Artifacts: w.Artifacts, Log: w.Log, Logger: w.Logger, Spec: ref, Folder: k.folder}
	ctx := functiontest.Context(t)
	side, stop := context.WithCancel(ctx)
	go func() { k.sidecar <- s.Run(side) }()
	k.stop = func() {
		stop()
		if err := <-k.sidecar; !errors.Is(err, context.Canceled) {
			must(t, err)
		}
		k.stop = func() {}
	}
	t.Cleanup(func() { k.stop() })
	var err error
	k.out, err = os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	t.Cleanup(func() { k.out.Close() })
	k.runner = exec.CommandContext(ctx, runnerProgram, "pod", string(k.folder))
	k.runner.Dir = w.dir // what is in the user's image
	k.runner.Env = append(os.Environ(), "HOME="+t.TempDir())
	k.runner.Stdout, k.runner.Stderr = k.out, k.out
	must(t, k.runner.Start())
	return k
}

// wait waits for the runner's exit code.
func (k *kubelet) wait() int {
	_ = k.runner.Wait()
	return k.runner.ProcessState.ExitCode()
}

func (k *kubelet) shown() string {
	b, err := os.ReadFile(k.out.Name())
	must(k.w.t, err)
	return string(b)
}

// end ends the pod and says so of the Job.
func (k *kubelet) end() {
	k.stop()
	code := int32(k.runner.ProcessState.ExitCode()) //nolint:gosec // an exit code
	c := batchv1.JobCondition{Type: batchv1.JobComplete}
	if code != 0 {
		c = batchv1.JobCondition{Type: batchv1.JobFailed, Reason: batchv1.JobReasonPodFailurePolicy}
	}
	pod := corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		Name: "trainer", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
	}}}}
	pod.Name = "pod"
	k.w.api.End(k.w.t, k.job, c, pod)
}

func podOf(t testing.TB, api *jobtest.API, name string) corev1.PodSpec {
	t.Helper()
	var j batchv1.Job
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(api.Job(t, name).Object, &j))
	return j.Spec.Template.Spec
}
