//go:build !race

// With the race detector client-go would be built a second time, for code that
// is not ours: `make verify` runs this package without it.

package knative_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/pkg/apis"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// overlays are the folders that kubectl apply -k takes.
func overlays(t *testing.T) (names []string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("overlays", "*"))
	if err != nil || len(dirs) < 3 {
		t.Fatalf("overlays %v, %v", dirs, err)
	}
	return dirs
}

// installation is what a folder builds, by kind and name.
type installation struct {
	services  map[string]*servingv1.Service
	triggers  map[string]*eventingv1.Trigger
	brokers   map[string]*eventingv1.Broker
	pings     map[string]*sourcesv1.PingSource
	bindings  map[string]*sourcesv1.SinkBinding
	watches   map[string]*sourcesv1.ApiServerSource
	sets      map[string]*appsv1.StatefulSet
	deploys   map[string]*appsv1.Deployment
	accounts  map[string]*corev1.ServiceAccount
	configs   map[string]*corev1.ConfigMap
	secrets   map[string]*corev1.Secret
	roles     map[string]*rbacv1.Role
	bound     map[string]*rbacv1.RoleBinding
	policies  map[string]*networkingv1.NetworkPolicy
	namespace *corev1.Namespace
	// text is everything as YAML.
	text string
}

// build builds a folder as kubectl kustomize does, and reads each object into
// its real type: a field that the type lacks, or that occurs twice, is an
// error.
func build(t *testing.T, dir string) *installation {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{
		services: map[string]*servingv1.Service{}, triggers: map[string]*eventingv1.Trigger{}, brokers: map[string]*eventingv1.Broker{},
		pings: map[string]*sourcesv1.PingSource{}, bindings: map[string]*sourcesv1.SinkBinding{}, watches: map[string]*sourcesv1.ApiServerSource{}, sets: map[string]*appsv1.StatefulSet{},
		deploys: map[string]*appsv1.Deployment{}, accounts: map[string]*corev1.ServiceAccount{}, configs: map[string]*corev1.ConfigMap{},
		secrets: map[string]*corev1.Secret{}, roles: map[string]*rbacv1.Role{}, bound: map[string]*rbacv1.RoleBinding{},
		policies: map[string]*networkingv1.NetworkPolicy{},
	}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		in.text += "---\n" + string(text)
		if err := in.add(r.GetKind()+"."+r.GetApiVersion(), r.GetName(), text); err != nil {
			t.Errorf("%s: %s %s: %v", dir, r.GetKind(), r.GetName(), err)
		}
	}
	return in
}

func (in *installation) add(kind, name string, text []byte) (err error) {
	switch kind {
	case "Service.serving.knative.dev/v1":
		in.services[name], err = knative[servingv1.Service](text)
	case "Trigger.eventing.knative.dev/v1":
		in.triggers[name], err = knative[eventingv1.Trigger](text)
	case "Broker.eventing.knative.dev/v1":
		in.brokers[name], err = strict[eventingv1.Broker](text)
	case "PingSource.sources.knative.dev/v1":
		in.pings[name], err = knative[sourcesv1.PingSource](text)
	case "SinkBinding.sources.knative.dev/v1":
		in.bindings[name], err = knative[sourcesv1.SinkBinding](text)
	case "ApiServerSource.sources.knative.dev/v1":
		in.watches[name], err = knative[sourcesv1.ApiServerSource](text)
	case "StatefulSet.apps/v1":
		in.sets[name], err = strict[appsv1.StatefulSet](text)
	case "Deployment.apps/v1":
		in.deploys[name], err = strict[appsv1.Deployment](text)
	case "ServiceAccount.v1":
		in.accounts[name], err = strict[corev1.ServiceAccount](text)
	case "ConfigMap.v1":
		in.configs[name], err = strict[corev1.ConfigMap](text)
	case "Secret.v1":
		in.secrets[name], err = strict[corev1.Secret](text)
	case "Role.rbac.authorization.k8s.io/v1":
		in.roles[name], err = strict[rbacv1.Role](text)
	case "RoleBinding.rbac.authorization.k8s.io/v1":
		in.bound[name], err = strict[rbacv1.RoleBinding](text)
	case "Namespace.v1":
		in.namespace, err = strict[corev1.Namespace](text)
	case "Service.v1":
		_, err = strict[corev1.Service](text)
	case "PersistentVolume.v1":
		_, err = strict[corev1.PersistentVolume](text)
	case "ResourceQuota.v1":
		_, err = strict[corev1.ResourceQuota](text)
	case "LimitRange.v1":
		_, err = strict[corev1.LimitRange](text)
	case "PodDisruptionBudget.policy/v1":
		_, err = strict[policyv1.PodDisruptionBudget](text)
	case "NetworkPolicy.networking.k8s.io/v1":
		in.policies[name], err = strict[networkingv1.NetworkPolicy](text)
	default:
		return fmt.Errorf("the tests do not know the kind %s: teach them", kind)
	}
	return err
}

func strict[T any](text []byte) (*T, error) {
	v := new(T)
	return v, yaml.UnmarshalStrict(text, v)
}

// knative reads an object of Knative's and lets its webhook's code judge it.
func knative[T any, P interface {
	*T
	metav1.Object
	apis.Validatable
	apis.Defaultable
}](text []byte) (*T, error) {
	v, err := strict[T](text)
	if err != nil {
		return v, err
	}
	judged, err := strict[T](text)
	if err != nil {
		return v, err
	}
	ctx := apis.WithinCreate(context.Background())
	P(judged).SetDefaults(ctx)
	if err := P(judged).Validate(ctx); err != nil {
		return v, err
	}
	return v, nil
}

// pod is a pod that an installation has, and whose it is.
type pod struct {
	owner string
	meta  metav1.ObjectMeta
	spec  corev1.PodSpec
}

func (in *installation) pods() (ps []pod) {
	for name, s := range in.services {
		ps = append(ps, pod{name, s.Spec.Template.ObjectMeta, s.Spec.Template.Spec.PodSpec})
	}
	for name, s := range in.sets {
		ps = append(ps, pod{name, s.Spec.Template.ObjectMeta, s.Spec.Template.Spec})
	}
	for name, d := range in.deploys {
		ps = append(ps, pod{name, d.Spec.Template.ObjectMeta, d.Spec.Template.Spec})
	}
	slices.SortFunc(ps, func(a, b pod) int { return strings.Compare(a.owner, b.owner) })
	return ps
}
