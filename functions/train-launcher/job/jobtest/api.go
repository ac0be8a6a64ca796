// Package jobtest answers as the Kubernetes API does, as far as runs need it:
// objects of one namespace by their paths, lists by label, logs of pods. It
// knows no kinds; what it keeps is what was sent.
package jobtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// Namespace is the one that there is.
const Namespace = "millrace"

// API is the API server. It is safe for concurrent use.
type API struct {
	server *httptest.Server
	mu     sync.Mutex
	// objects are by path: /apis/batch/v1/namespaces/millrace/jobs/x.
	objects map[string]*unstructured.Unstructured
	logs    map[string]string
	invalid string
}

// New starts an API server that ends with the test.
func New(t testing.TB) *API {
	t.Helper()
	a := &API{objects: map[string]*unstructured.Unstructured{}, logs: map[string]string{}}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	return a
}

// Config reaches the server.
func (a *API) Config() *rest.Config { return &rest.Config{Host: a.server.URL} }

// Refuse makes the server take no object, with the message; "" takes it back.
func (a *API) Refuse(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.invalid = message
}

// SetLog sets the log of a container.
func (a *API) SetLog(pod, container, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logs[pod+"/"+container] = text
}

const (
	jobs = "/apis/batch/v1/namespaces/" + Namespace + "/jobs"
	pods = "/api/v1/namespaces/" + Namespace + "/pods"
)

// Put puts an object at the path of its collection, in the place of another.
func (a *API) Put(t testing.TB, collection string, object runtime.Object) {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: fields}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.objects[collection+"/"+u.GetName()] = u
}

// Names are the names of the objects of a collection, sorted.
func (a *API) Names(collection string) (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at := range a.objects {
		if path.Dir(at) == collection {
			names = append(names, path.Base(at))
		}
	}
	slices.Sort(names)
	return names
}

// Jobs are the names of the Jobs that there are.
func (a *API) Jobs() []string { return a.Names(jobs) }

// Job is a Job that there is.
func (a *API) Job(t testing.TB, name string) *unstructured.Unstructured {
	t.Helper()
	return a.Object(t, jobs+"/"+name)
}

// Object is the object at the path.
func (a *API) Object(t testing.TB, at string) *unstructured.Unstructured {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.objects[at]
	if u == nil {
		t.Fatalf("there is no %s", at)
	}
	return u.DeepCopy()
}

// End ends the Job in a condition, with its pods.
func (a *API) End(t testing.TB, job string, condition batchv1.JobCondition, ps ...corev1.Pod) {
	t.Helper()
	var j batchv1.Job
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(a.Job(t, job).Object, &j); err != nil {
		t.Fatal(err)
	}
	if condition.Type != "" {
		condition.Status = corev1.ConditionTrue
		j.Status.Conditions = []batchv1.JobCondition{condition}
		if condition.Type == batchv1.JobFailed {
			j.Status.Failed = 1
		}
	}
	a.Put(t, jobs, &j)
	for _, p := range ps {
		p.TypeMeta, p.Labels = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, j.Spec.Template.Labels
		a.Put(t, pods, &p)
	}
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		a.create(w, r)
	case http.MethodGet:
		a.read(w, r)
	case http.MethodDelete:
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.objects[r.URL.Path] == nil {
			refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
			return
		}
		delete(a.objects, r.URL.Path)
		answer(w, http.StatusOK, metav1.Status{TypeMeta: statusType, Status: metav1.StatusSuccess})
	default:
		refuse(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, r.Method)
	}
}

func (a *API) create(w http.ResponseWriter, r *http.Request) {
	u := new(unstructured.Unstructured)
	if err := json.NewDecoder(r.Body).Decode(u); err != nil || u.GetNamespace() != Namespace {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "no object of the namespace")
		return
	}
	at := r.URL.Path + "/" + u.GetName()
	a.mu.Lock()
	taken, invalid := a.objects[at] != nil, a.invalid
	if !taken && invalid == "" {
		a.objects[at] = u
	}
	a.mu.Unlock()
	switch {
	case invalid != "":
		refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, invalid)
		return
	case taken:
		refuse(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, "")
		return
	}
	answer(w, http.StatusCreated, u)
}

func (a *API) read(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pod, ok := strings.CutSuffix(r.URL.Path, "/log"); ok {
		text, there := a.logs[path.Base(pod)+"/"+r.URL.Query().Get("container")]
		if !there {
			refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
			return
		}
		_, _ = w.Write([]byte(text))
		return
	}
	if u := a.objects[r.URL.Path]; u != nil {
		answer(w, http.StatusOK, u)
		return
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil || r.URL.Path != pods {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "")
		return
	}
	list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "PodList"}}
	for at, u := range a.objects {
		if path.Dir(at) == pods && selector.Matches(labels.Set(u.GetLabels())) {
			list.Items = append(list.Items, *u)
		}
	}
	answer(w, http.StatusOK, &list)
}

var statusType = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}

func refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	answer(w, int(code), metav1.Status{TypeMeta: statusType, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}
