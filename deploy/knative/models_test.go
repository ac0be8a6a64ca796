//go:build !race

package knative_test

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/yaml"
)

// TestModels: the Services that promote makes of models are Knative's, before
// and after their traffic is said, and their pods may run where the
// installation does.
func TestModels(t *testing.T) {
	at := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("..", "..", "functions", "promote", "serving", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	made, err := knative[servingv1.Service](at("model.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// What two field managers apply is one object to the webhook.
	var routed servingv1.Service
	if err := yaml.UnmarshalStrict(at("route.yaml"), &routed); err != nil {
		t.Fatal(err)
	}
	whole := made.DeepCopy()
	whole.Spec.Traffic = routed.Spec.Traffic
	text, err := yaml.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := knative[servingv1.Service](text); err != nil {
		t.Error(err)
	}
	checks, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	template := &made.Spec.Template
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec.PodSpec)); !r.Allowed {
		t.Error(r.ForbiddenDetail())
	}
}

// TestModelsTemplate: the Service inference has the one container to which a
// model's Service adds what it serves.
func TestModelsTemplate(t *testing.T) {
	for _, dir := range overlays(t) {
		s := build(t, dir).services["inference"]
		if s == nil || len(s.Spec.Template.Spec.Containers) != 1 {
			t.Errorf("%s: the Service inference has not one container", dir)
		}
	}
}
