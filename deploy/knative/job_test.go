//go:build !race

package knative_test

import (
	"os"
	"path/filepath"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestJobs: the Jobs that train-launcher makes are Jobs, and their pods may run
// where the installation does, under accounts and settings that it has.
func TestJobs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "functions", "train-launcher", "job", "testdata", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Jobs: %v", err)
	}
	checks, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	in := build(t, filepath.Join("overlays", "local"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		j, err := strict[batchv1.Job](text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		template := &j.Spec.Template
		restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
		if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec)); !r.Allowed {
			t.Errorf("%s: %s", file, r.ForbiddenDetail())
		}
		if in.accounts[template.Spec.ServiceAccountName] == nil {
			t.Errorf("%s: there is no service account %s", file, template.Spec.ServiceAccountName)
		}
		for _, c := range template.Spec.InitContainers {
			for _, from := range c.EnvFrom {
				if from.ConfigMapRef != nil && in.configs[from.ConfigMapRef.Name] == nil {
					t.Errorf("%s: there is no ConfigMap %s", file, from.ConfigMapRef.Name)
				}
			}
		}
	}
}
