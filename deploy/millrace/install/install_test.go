package install

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"millrace.dev/config"
)

// What comes along in the program is what lies in the tree, and whole: every
// path of a kustomization leads to something.
func TestUnpack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := unpack(root); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		n++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var k struct{ Resources, Components []string }
		if err := yaml.Unmarshal(text, &k); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, to := range append(k.Resources, k.Components...) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), to)); err != nil {
				t.Errorf("%s leads to %s, which did not come along", path, to)
			}
		}
		return nil
	})
	if err != nil || n < 10 {
		t.Errorf("%d kustomizations, %v", n, err)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, object, why string }{
		{"a Service", `{"kind": "Service", "apiVersion": "serving.knative.dev/v1", "metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}}`, ""},
		{"not seen yet", `{"kind": "Service", "apiVersion": "serving.knative.dev/v1", "metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}}`, "Knative has not reconciled it yet"},
		{"no image", `{"kind": "Service", "apiVersion": "serving.knative.dev/v1", "metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "no image"}]}}`, "RevisionFailed no image"},
		{"a Deployment", `{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1}}`, ""},
		{"old pods", `{"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": {"generation": 1}, "spec": {"replicas": 3}, "status": {"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 3}}`, "2 of 3 pods are ready"},
	} {
		var o object
		if err := json.Unmarshal([]byte(c.object), &o); err != nil {
			t.Fatal(err)
		}
		if ok, why := o.ready(); ok != (c.why == "") || why != c.why {
			t.Errorf("%s: %t %q", c.name, ok, why)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"1.16.3": true, "v1.17.0": false, "1.20": false, "devel": false, "20260120-abc": false, "": false} {
		if older(version, oldestKnative) != want {
			t.Errorf("%q", version)
		}
	}
	if err := oldEnough([]byte(`{"serverVersion": {"major": "1", "minor": "29+", "gitVersion": "v1.29.4-eks"}}`)); err == nil || !strings.Contains(err.Error(), "v1.29.4-eks; 1.30 or newer") {
		t.Error(err)
	}
	if err := oldEnough([]byte(`{"serverVersion": {"major": "1", "minor": "34", "gitVersion": "v1.34.2"}}`)); err != nil {
		t.Error(err)
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"v1/Secret": "secrets", "networking.k8s.io/v1/NetworkPolicy": "networkpolicies.networking.k8s.io",
		"serving.knative.dev/v1/Service": "services.serving.knative.dev", "apps/v1/StatefulSet": "statefulsets.apps",
	} {
		i := strings.LastIndex(kind, "/")
		if got := (object{APIVersion: kind[:i], Kind: kind[i+1:]}).resource(); got != want {
			t.Errorf("%s is %s", kind, got)
		}
	}
}

// A pipeline with tables goes as its bundle, one without as its file; the
// gateway reads both.
func TestPipelines(t *testing.T) {
	t.Parallel()
	examples := filepath.Join("..", "..", "..", "config", "examples")
	text, err := configMap([]string{filepath.Join(examples, "flights"), filepath.Join(examples, "diabetes")}, "millrace")
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Data, BinaryData map[string]string }
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("flights.yaml", []byte(m.Data["flights.yaml"])); err != nil {
		t.Error(err)
	}
	bundle, err := base64.StdEncoding.DecodeString(m.BinaryData["diabetes.tar.gz"])
	if err != nil {
		t.Fatal(err)
	}
	if l, err := config.ReadBundle(bytes.NewReader(bundle), t.TempDir()); err != nil || l.Pipeline.Name() != "diabetes" {
		t.Error(err)
	}
	if _, err := configMap([]string{"no-such-folder", "another"}, "millrace"); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("not every mistake: %v", err)
	}
}

func TestWithoutKubectl(t *testing.T) {
	t.Parallel()
	err := Run(context.Background(), Options{Overlay: "local", Kubectl: "no-such-kubectl"})
	if err == nil || !strings.Contains(err.Error(), "is not in PATH: install it") {
		t.Error(err)
	}
}
