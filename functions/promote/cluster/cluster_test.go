package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/promote/cluster"
	"millrace.dev/functions/promote/serving"
	"millrace.dev/shared/state"
)

const namespace = "millrace"

var (
	services  = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}
	revisions = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "revisions"}
	kserves   = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"}
)

// apiServer is client-go's fake with a server-side apply: it notes who applies
// what, lays the object's spec over what is there, and makes the revision of a
// Service's template.
type apiServer struct {
	dynamic.Interface

	t       *testing.T
	applied []string
	// refuses is the answer to every apply.
	refuses error
}

func newAPIServer(t *testing.T, objects ...runtime.Object) *apiServer {
	t.Helper()
	return &apiServer{t: t, Interface: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		services: "ServiceList", revisions: "RevisionList", kserves: "InferenceServiceList",
	}, objects...)}
}

// installed is the installation's own Service, whose template models have.
func installed(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "serving", "testdata", "inference.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(b, &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetAPIVersion("serving.knative.dev/v1")
	o.SetKind("Service")
	o.SetNamespace(namespace)
	o.SetName("inference")
	return o
}

func (s *apiServer) Resource(kind schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return &resource{s.Interface.Resource(kind), s, kind}
}

type resource struct {
	dynamic.NamespaceableResourceInterface

	server *apiServer
	kind   schema.GroupVersionResource
}

func (r *resource) Namespace(name string) dynamic.ResourceInterface {
	return &namespaced{r.NamespaceableResourceInterface.Namespace(name), r, name}
}

type namespaced struct {
	dynamic.ResourceInterface

	resource *resource
	name     string
}

func (n *namespaced) Apply(ctx context.Context, name string, o *unstructured.Unstructured, options metav1.ApplyOptions, sub ...string) (*unstructured.Unstructured, error) {
	s := n.resource.server
	s.applied = append(s.applied, fmt.Sprintf("%s %s/%s by %s", o.GetKind(), n.name, name, options.FieldManager))
	if options.Force || len(sub) > 0 {
		s.t.Errorf("%s is applied with %+v %v", name, options, sub)
	}
	if s.refuses != nil {
		return nil, s.refuses
	}
	live, err := n.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		live = o.DeepCopy()
		live.SetNamespace(n.name)
		live, err = n.Create(ctx, live, metav1.CreateOptions{})
	} else if err == nil {
		spec, _, _ := unstructured.NestedMap(live.Object, "spec")
		over, _, _ := unstructured.NestedMap(o.DeepCopy().Object, "spec")
		maps.Copy(spec, over)
		if err = unstructured.SetNestedMap(live.Object, spec, "spec"); err == nil {
			live, err = n.Update(ctx, live, metav1.UpdateOptions{})
		}
	}
	if err == nil && n.resource.kind == services {
		s.revise(ctx, live)
	}
	return live, err
}

// revise makes the revision of a Service's template, as Knative does, ready.
func (s *apiServer) revise(ctx context.Context, service *unstructured.Unstructured) {
	meta, found, err := unstructured.NestedMap(service.Object, "spec", "template", "metadata")
	if err != nil || !found || meta["name"] == nil {
		return
	}
	labels, _, _ := unstructured.NestedStringMap(service.Object, "spec", "template", "metadata", "labels")
	labels["serving.knative.dev/service"] = service.GetName()
	s.revision(ctx, meta["name"].(string), labels)
}

func (s *apiServer) revision(ctx context.Context, name string, labels map[string]string) {
	r := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{
		map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": "2013-04-01T12:00:00Z"},
	}}}}
	r.SetAPIVersion("serving.knative.dev/v1")
	r.SetKind("Revision")
	r.SetName(name)
	r.SetNamespace(namespace)
	r.SetLabels(labels)
	if _, err := s.Interface.Resource(revisions).Namespace(namespace).Create(ctx, r, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		s.t.Error(err)
	}
}

// flights is a pipeline of two versions; the first has all traffic.
func flights(t *testing.T, serve string) *state.Pipeline {
	t.Helper()
	c, err := config.Parse("pipeline.yaml", []byte("apiVersion: millrace.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: flights}\nspec:\n  model: {task: regression}\n  serve: "+serve+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := state.New("flights")
	p.Config = c
	for v := 1; v <= 2; v++ {
		p.Models = append(p.Models, &state.Model{Version: v, Approved: true, Model: events.Model{
			Format: "onnx", Files: []events.File{{Name: "model.onnx", Ref: events.Ref{URL: fmt.Sprintf("sha256/0%d.onnx", v)}}},
		}})
	}
	p.Route = state.Route{Champion: 1, Weights: []events.Weight{{Version: 1, Percent: 100}}}
	return p
}

func follow(s *apiServer) *cluster.Cluster { return cluster.New(s, namespace, cluster.Config{Keep: 2}) }

// TestFollow brings a champion onto a cluster that has nothing of the pipeline,
// and the next one: the template by one manager, the traffic by the other, and
// nothing by force.
func TestFollow(t *testing.T) {
	t.Parallel()
	s, p := newAPIServer(t, installed(t)), flights(t, "{}")
	c := follow(s)
	name := serving.ServiceName(p.Name)
	for _, champion := range []int{1, 2} {
		p.Route = state.Route{Champion: champion, Weights: []events.Weight{{Version: champion, Percent: 100}}}
		s.applied = nil
		for n := 0; ; n++ {
			before := len(s.applied)
			standing, err := c.Follow(t.Context(), p)
			if err != nil || standing.Failed != 0 {
				t.Fatalf("version %d: %+v, %v", champion, standing, err)
			}
			if standing.After <= 0 {
				t.Errorf("it is to be looked at again after %s", standing.After)
			}
			if len(s.applied) == before {
				break
			}
			if n > 5 {
				t.Fatalf("it does not come to rest: %v", s.applied)
			}
		}
		model, route := "Service millrace/"+name+" by "+serving.ManagerModel, "Service millrace/"+name+" by "+serving.ManagerRoute
		if !slices.Contains(s.applied, model) || !slices.Contains(s.applied, route) || slices.Index(s.applied, model) > slices.Index(s.applied, route) {
			t.Errorf("version %d: applied %v", champion, s.applied)
		}
		live, err := s.Interface.Resource(services).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		traffic, _, err := unstructured.NestedSlice(live.Object, "spec", "traffic")
		if err != nil || len(traffic) == 0 {
			t.Fatalf("traffic %v, %v", traffic, err)
		}
		first := traffic[0].(map[string]any)
		if !strings.Contains(fmt.Sprint(first["revisionName"]), fmt.Sprintf("v%d", champion)) || fmt.Sprint(first["percent"]) != "100" {
			t.Errorf("version %d: the traffic is %v", champion, traffic)
		}
	}
}

// TestUnneededRevisionsAreDeleted: a revision of ours that neither serves nor is
// kept goes, and one that Millrace did not create stays.
func TestUnneededRevisionsAreDeleted(t *testing.T) {
	t.Parallel()
	s, p := newAPIServer(t, installed(t)), flights(t, "{}")
	name := serving.ServiceName(p.Name)
	s.revision(t.Context(), "old", map[string]string{"serving.knative.dev/service": name, serving.LabelVersion: "9"})
	s.revision(t.Context(), "another-pipelines", map[string]string{"serving.knative.dev/service": "another", serving.LabelVersion: "9"})
	c := follow(s)
	for range 5 {
		if _, err := c.Follow(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Interface.Resource(revisions).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, r := range list.Items {
		left = append(left, r.GetName())
	}
	if slices.Contains(left, "old") || !slices.Contains(left, "another-pipelines") || len(left) != 2 {
		t.Errorf("the revisions are %v", left)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	service := schema.GroupResource{Group: services.Group, Resource: services.Resource}
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: services.Group, Kind: "Service"}, "millrace-flights", nil)
	conflict := apierrors.NewConflict(service, "millrace-flights", fmt.Errorf("conflict"))
	conflict.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.template", Message: `conflict with "kubectl"`}}
	for name, c := range map[string]struct {
		objects []runtime.Object
		serve   string
		refuses error
		failed  int
		want    string
	}{
		"no template":             {nil, "{}", nil, 0, "the Service inference is not there, whose template"},
		"another owns a field":    {[]runtime.Object{installed(t)}, "{}", conflict, 0, `is not changed: .spec.template is not ours (conflict with "kubectl"). Give these fields up there`},
		"the version is invalid":  {[]runtime.Object{installed(t)}, "{}", invalid, 1, "is invalid"},
		"the API server is away":  {[]runtime.Object{installed(t)}, "{}", apierrors.NewServiceUnavailable("restarting"), 0, "apply the Service"},
		"a conflict by version":   {[]runtime.Object{installed(t)}, "{}", apierrors.NewConflict(service, "x", fmt.Errorf("old")), 0, "apply the Service"},
		"KServe takes no version": {nil, "{runtime: kserve}", invalid, 1, "is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAPIServer(t, c.objects...)
			s.refuses = c.refuses
			standing, err := cluster.New(s, namespace, cluster.Config{Artifacts: "s3://models"}).Follow(t.Context(), flights(t, c.serve))
			said := standing.Reason
			if err != nil {
				said = err.Error()
			}
			if standing.Failed != c.failed || (err == nil) != (c.failed != 0) || !strings.Contains(said, c.want) {
				t.Errorf("got %+v, %v", standing, err)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := (cluster.Config{Keep: -1}).Validate(); err == nil || !strings.Contains(err.Error(), "MILLRACE_SERVE_KEEP is -1") {
		t.Errorf("got %v", err)
	}
	if err := (cluster.Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if c, ok, err := cluster.In(cluster.Config{}); c != nil || ok || err != nil {
		t.Errorf("got %v, %t, %v", c, ok, err)
	}
}
