//go:build !race

package knative_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"millrace.dev/triggers"
)

// TestOverlays: every overlay builds, its objects are of their types, what they
// refer to is there, and their pods may run in a namespace of the standard
// "restricted".
func TestOverlays(t *testing.T) {
	checks, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, dir := range overlays(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			in := build(t, dir)
			if in.namespace == nil || in.namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
				t.Error("the namespace does not enforce the standard restricted")
			}
			for _, p := range in.pods() {
				if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &p.meta, &p.spec)); !r.Allowed {
					t.Errorf("%s: %s", p.owner, r.ForbiddenDetail())
				}
				in.references(t, p)
			}
			in.isWhole(t)
		})
	}
}

// references checks that what the pod names is there.
func (in *installation) references(t *testing.T, p pod) {
	t.Helper()
	if name := p.spec.ServiceAccountName; name != "" && in.accounts[name] == nil {
		t.Errorf("%s: there is no service account %s", p.owner, name)
	}
	for _, c := range p.spec.Containers {
		if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s: its container says not what it needs", p.owner)
		}
		if c.ReadinessProbe == nil {
			t.Errorf("%s: nothing says when it is ready", p.owner)
		}
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil && in.configs[from.ConfigMapRef.Name] == nil {
				t.Errorf("%s: there is no ConfigMap %s", p.owner, from.ConfigMapRef.Name)
			}
		}
	}
	for _, v := range p.spec.Volumes {
		if v.ConfigMap != nil && in.configs[v.ConfigMap.Name] == nil && (v.ConfigMap.Optional == nil || !*v.ConfigMap.Optional) {
			t.Errorf("%s: there is no ConfigMap %s", p.owner, v.ConfigMap.Name)
		}
	}
}

// isWhole checks that the installation has every function, trigger and
// schedule of the tree, and leads each where it is.
func (in *installation) isWhole(t *testing.T) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join("..", "..", "functions", "*", "cmd"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, f := range folders {
		name := filepath.Base(filepath.Dir(f))
		if s := in.services[name]; s == nil {
			t.Errorf("the function %s has no Service", name)
		} else if s.Spec.Template.Annotations["autoscaling.knative.dev/min-scale"] != "0" {
			t.Errorf("%s does not scale to zero", name)
		}
	}
	ts, schedules, err := triggers.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if len(in.triggers) != len(ts) || len(in.pings) != len(schedules) {
		t.Errorf("%d triggers and %d schedules; the tree has %d and %d", len(in.triggers), len(in.pings), len(ts), len(schedules))
	}
	for name, k := range in.triggers {
		if in.services[k.Spec.Subscriber.Ref.Name] == nil || in.brokers[k.Spec.Broker] == nil {
			t.Errorf("trigger %s leads from or to where nothing is", name)
		}
		if k.Spec.Delivery == nil || k.Spec.Delivery.Retry == nil {
			t.Errorf("trigger %s takes the broker's retries, which spend a function's attempts", name)
		}
	}
	for name, b := range in.brokers {
		if b.Annotations["eventing.knative.dev/broker.class"] == "" {
			t.Errorf("broker %s has no class: the cluster's default is not known here", name)
		}
	}
	if w := in.watches["training-jobs"]; w == nil || in.accounts[w.Spec.ServiceAccountName] == nil || in.brokers[w.Spec.Sink.Ref.Name] == nil {
		t.Error("nobody tells of Jobs")
	}
	if b := in.bindings["relay"]; b == nil || in.deploys[b.Spec.Subject.Name] == nil || in.brokers[b.Spec.Sink.Ref.Name] == nil {
		t.Error("the relay is not bound to the broker")
	}
}

// TestAlone: each function can be applied by itself.
func TestAlone(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("functions", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, dir := range dirs {
		if in := build(t, dir); len(in.services) != 1 || in.services[filepath.Base(dir)] == nil || in.accounts[filepath.Base(dir)] == nil {
			t.Errorf("%s builds %s", dir, in.text)
		}
	}
}

// TestRights: what each part may do in the cluster. All others may
// nothing, and has no token.
func TestRights(t *testing.T) {
	want := map[string][]string{
		"train-launcher": {
			"pods: list", "pods/log: get", "secrets: create", "secrets of millrace: get", "jobs.batch: create get delete",
			"trainjobs.trainer.kubeflow.org: create get delete", "trainingruntimes.trainer.kubeflow.org: create get delete",
		},
		"training-jobs": {"jobs.batch: get list watch"},
		"promote": {
			"services.serving.knative.dev: create get patch", "revisions.serving.knative.dev: list delete",
			"inferenceservices.serving.kserve.io: create get patch",
		},
	}
	for _, dir := range overlays(t) {
		in := build(t, dir)
		got := map[string][]string{}
		for _, b := range in.bound {
			for _, s := range b.Subjects {
				for _, r := range in.roles[b.RoleRef.Name].Rules {
					for _, group := range r.APIGroups {
						for _, resource := range r.Resources {
							if len(r.ResourceNames) > 0 {
								resource += " of " + strings.Join(r.ResourceNames, ", ")
							}
							right := strings.TrimSuffix(resource+"."+group, ".") + ": " + strings.Join(r.Verbs, " ")
							got[s.Name] = append(got[s.Name], right)
						}
					}
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(in.accounts)) {
			rights := slices.Sorted(slices.Values(got[name]))
			if wanted := slices.Sorted(slices.Values(want[name])); !slices.Equal(rights, wanted) {
				t.Errorf("%s: %s may %q, want %q", dir, name, rights, wanted)
			}
			if token := in.accounts[name].AutomountServiceAccountToken; token == nil || *token != (len(want[name]) > 0) {
				t.Errorf("%s: %s has a token without a right, or a right without one", dir, name)
			}
		}
		for _, p := range in.pods() {
			if off := p.spec.AutomountServiceAccountToken; len(want[p.owner]) == 0 && (off == nil || *off) {
				t.Errorf("%s: the pods of %s have a token", dir, p.owner)
			}
		}
	}
}

// TestImages: an overlay names a registry for every image.
func TestImages(t *testing.T) {
	for _, dir := range overlays(t) {
		if filepath.Base(dir) == "nats" {
			continue // a base for others: the images are theirs to name
		}
		in := build(t, dir)
		for _, p := range in.pods() {
			for _, c := range p.spec.Containers {
				if host, _, _ := strings.Cut(c.Image, "/"); !strings.ContainsAny(host, ".:") {
					t.Errorf("%s: %s has the image %s, of no registry", dir, p.owner, c.Image)
				}
			}
		}
		for _, name := range []string{"MILLRACE_RUNNER_IMAGE", "MILLRACE_SIDECAR_IMAGE"} {
			if host, _, _ := strings.Cut(in.configs["millrace"].Data[name], "/"); !strings.ContainsAny(host, ".:") {
				t.Errorf("%s: %s is of no registry", dir, name)
			}
		}
	}
}

// TestVariables: what the manifests set is read by some program of the tree.
func TestVariables(t *testing.T) {
	read := map[string]bool{}
	tag := regexp.MustCompile(`env:"(MILLRACE_[A-Z0-9_]+)`)
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range tag.FindAllSubmatch(text, -1) {
			read[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range overlays(t) {
		in := build(t, dir)
		set := slices.Collect(maps.Keys(in.configs["millrace"].Data))
		for _, p := range in.pods() {
			for _, c := range p.spec.Containers {
				for _, e := range c.Env {
					set = append(set, e.Name)
				}
			}
		}
		for _, name := range set {
			if strings.HasPrefix(name, "MILLRACE_") && !read[name] {
				t.Errorf("%s sets %s, which nothing reads", dir, name)
			}
		}
	}
}
