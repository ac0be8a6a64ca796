package job_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"millrace.dev/config"
	"millrace.dev/functions/train-launcher/job"
)

// apiServer answers as the Kubernetes API does for Jobs and pods of one namespace.
type apiServer struct {
	mu   sync.Mutex
	jobs map[string]*batchv1.Job
	pods []corev1.Pod
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	const jobs, pods = "/apis/batch/v1/namespaces/millrace/jobs", "/api/v1/namespaces/millrace/pods"
	refuse := func(code int32, reason metav1.StatusReason) {
		answer(w, int(code), metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: code, Reason: reason, Message: string(reason)})
	}
	name := strings.TrimPrefix(r.URL.Path, jobs+"/")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == jobs:
		var j batchv1.Job
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if d.Decode(&j) != nil {
			refuse(http.StatusBadRequest, metav1.StatusReasonBadRequest)
			return
		}
		if a.jobs[j.Name] != nil {
			refuse(http.StatusConflict, metav1.StatusReasonAlreadyExists)
			return
		}
		a.jobs[j.Name] = &j
		answer(w, http.StatusCreated, &j)
	case r.Method == http.MethodGet && r.URL.Path == pods && r.URL.Query().Get("labelSelector") != "":
		answer(w, http.StatusOK, corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: a.pods})
	case r.Method == http.MethodGet && a.jobs[name] != nil:
		answer(w, http.StatusOK, a.jobs[name])
	default:
		refuse(http.StatusNotFound, metav1.StatusReasonNotFound)
	}
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func TestCluster(t *testing.T) {
	api := &apiServer{jobs: map[string]*batchv1.Job{}}
	server := httptest.NewServer(api)
	defer server.Close()
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := job.NewCluster(client, "millrace")
	j, err := job.New(settings, run(&config.Train{Command: []string{"train"}, Timeout: config.Duration(time.Hour)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, found, err := c.Look(t.Context(), j.Name); found || err != nil {
		t.Errorf("found %t before it was launched, %v", found, err)
	}
	// Two launchers at once, and once more: one Job.
	var launching sync.WaitGroup
	for range 2 {
		launching.Go(func() {
			if err := c.Launch(t.Context(), j); err != nil {
				t.Error(err)
			}
		})
	}
	launching.Wait()
	if err := c.Launch(t.Context(), j); err != nil || len(api.jobs) != 1 {
		t.Errorf("%d Jobs, %v", len(api.jobs), err)
	}
	if end, ended, found, err := c.Look(t.Context(), j.Name); ended || !found || err != nil {
		t.Errorf("%+v, ended %t, found %t, %v", end, ended, found, err)
	}
	api.jobs[j.Name].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded"}}
	pod := corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		Name: "trainer", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}},
	}}}}
	pod.Name = "one"
	api.pods = append(api.pods, pod)
	if end, ended, _, err := c.Look(t.Context(), j.Name); !ended || err != nil || end.ExitCode != 2 || end.Pod != "one" {
		t.Errorf("%+v, ended %t, %v", end, ended, err)
	}
	other := j.DeepCopy()
	other.Annotations[job.AnnotationKey] = "another"
	if err := c.Launch(t.Context(), other); err == nil || !strings.Contains(err.Error(), "of the run key") {
		t.Errorf("got %v", err)
	}
}
