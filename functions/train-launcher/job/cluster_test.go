package job_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"millrace.dev/config"
	"millrace.dev/functions/train-launcher/job"
	"millrace.dev/functions/train-launcher/runspec"
)

// cluster reaches the real cluster of KUBECONFIG, and a namespace of its own there.
func cluster(t *testing.T) (*rest.Config, dynamic.Interface, string) {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set: there is no cluster")
	}
	to, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	made, err := namespaces.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
			"generateName": "millrace-test-", "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.Background(), made.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return to, client, made.GetName()
}

// TestClusterTakesJobs: a real API server has nothing against the Jobs.
func TestClusterTakesJobs(t *testing.T) {
	t.Parallel()
	_, client, namespace := cluster(t)
	for name, r := range runs() {
		s := settingsOf(name)
		s.Namespace = namespace
		j, err := job.ForRun(s, r)
		if err != nil {
			t.Fatal(err)
		}
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(j)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Resource(batchv1.SchemeGroupVersion.WithResource("jobs")).Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: fields},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImageThatIsNotThere: a real kubelet's words for it end the run, and the
// Job that would go on is removed.
func TestImageThatIsNotThere(t *testing.T) {
	t.Parallel()
	to, client, namespace := cluster(t)
	account := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "trainer"}}}
	if _, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s := settings
	s.Namespace, s.RunnerImage = namespace, "registry.localhost:5000/nobody/nothing:1"
	launcher, err := job.NewJobs(to, s)
	if err != nil {
		t.Fatal(err)
	}
	r := run(&config.Train{Command: []string{"train"}, Timeout: config.Duration(time.Hour)})
	for range 2 { // a second launch finds the first
		if err := launcher.Launch(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	var status runspec.Status
	deadline, tick := time.After(3*time.Minute), time.Tick(200*time.Millisecond)
	for status.End == nil {
		select {
		case <-deadline:
			t.Fatalf("not within 3 min: %+v", status)
		case <-tick:
		}
		if status, err = launcher.Poll(t.Context(), r.Pipeline, r.Run); err != nil || !status.Found || status.Begun {
			t.Fatalf("%+v, %v", status, err)
		}
	}
	if !strings.Contains(status.End.Reason, "the image registry.localhost:5000/nobody/nothing:1 cannot be pulled") || !status.End.Trying {
		t.Errorf("%+v", status.End)
	}
	if err := launcher.Remove(t.Context(), r.Pipeline, r.Run); err != nil {
		t.Fatal(err)
	}
	if err := launcher.Remove(t.Context(), r.Pipeline, r.Run); err != nil {
		t.Errorf("removed a second time: %v", err)
	}
	if status, err = launcher.Poll(t.Context(), r.Pipeline, r.Run); err != nil || status.Found {
		t.Errorf("%+v, %v", status, err)
	}
}
