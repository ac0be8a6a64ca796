//go:build !race

package knative_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"millrace.dev/deploy/knative/account"
)

// TestAccounts: accounts.conf is what the table says.
func TestAccounts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("base", "accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != account.Conf() {
		t.Error("base/accounts.conf is old: make generate")
	}
}

// TestUsers: every program of every overlay logs in as a user of the table, with the seed of that user alone, and every NATS
// server has the accounts and the keys.
func TestUsers(t *testing.T) {
	for _, dir := range append(overlays(t), filepath.Join("..", "e2e", "knative", "testdata", "overlay")) {
		in := build(t, dir)
		for _, p := range in.pods() {
			for _, c := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
				if p.owner == "nats" || p.owner == "s3" {
					continue
				}
				user, secrets := credentials(c)
				if !slices.Contains(account.Users(), user) || user == account.Admin || user == account.Import || !slices.Equal(secrets, []string{"nats-" + user}) {
					t.Errorf("%s: %s of %s is the user %q, with %q", dir, c.Name, p.owner, user, secrets)
				}
			}
			for _, v := range p.spec.Volumes {
				if v.Secret != nil && strings.HasPrefix(v.Secret.SecretName, "nats-") {
					t.Errorf("%s: %s mounts %s", dir, p.owner, v.Secret.SecretName)
				}
			}
		}
		nats := in.sets["nats"]
		if nats == nil {
			continue // it is elsewhere
		}
		config := in.configs[nats.Spec.Template.Spec.Volumes[0].ConfigMap.Name]
		if config == nil || config.Data["accounts.conf"] != account.Conf() || !strings.Contains(config.Data["nats.conf"], "\ninclude accounts.conf\n") {
			t.Errorf("%s: NATS has not the accounts", dir)
		}
		if from := nats.Spec.Template.Spec.Containers[0].EnvFrom; len(from) != 1 || from[0].SecretRef == nil || from[0].SecretRef.Name != "nats-users" {
			t.Errorf("%s: NATS has not the keys: %v", dir, from)
		}
	}
}

// credentials are the user of NATS that a container has, and the Secrets of such users that it refers to.
func credentials(c corev1.Container) (user string, secrets []string) {
	for _, e := range c.Env {
		if e.Name == "MILLRACE_NATS_USER" {
			user = e.Value
		}
		if e.Name == "MILLRACE_NATS_SEED" && e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			secrets = append(secrets, e.ValueFrom.SecretKeyRef.Name)
		}
	}
	return user, secrets
}

// TestNetwork: who reaches which port of each pod.
func TestNetwork(t *testing.T) {
	program := labels.Set{"app.kubernetes.io/part-of": "millrace"}
	function := labels.Set{"app.kubernetes.io/part-of": "millrace", "serving.knative.dev/service": "promote"}
	nats := labels.Set{"app.kubernetes.io/name": "nats", "app.kubernetes.io/part-of": "millrace"}
	run := labels.Set{"app.kubernetes.io/part-of": "millrace", "millrace.dev/run": "r1"}
	for _, dir := range overlays(t) {
		in := build(t, dir)
		own := in.namespace.Name
		for _, c := range []struct {
			what      string
			namespace string
			from, to  labels.Set
			port      int32
			want      bool
		}{
			{"a stranger, NATS", own, nil, nats, 4222, false},
			{"another namespace, NATS", "default", program, nats, 4222, false},
			{"a program, NATS", own, program, nats, 4222, in.sets["nats"] != nil},
			{"a program, the monitoring of NATS", own, program, nats, 8222, false},
			{"a program, the cluster port of NATS", own, run, nats, 6222, false},
			{"NATS, the cluster port of NATS", own, nats, nats, 6222, in.sets["nats"] != nil},
			{"a program, a function", own, program, function, 8012, false},
			{"a run, a function", own, run, function, 8080, false},
			{"another namespace, a function", "default", program, function, 8012, false},
			{"Knative, a function", "knative-serving", nil, function, 8012, true},
			{"the ingress, a function", "kourier-system", nil, function, 8012, true},
			{"a function, the relay", own, function, labels.Set{"app.kubernetes.io/name": "relay"}, 8080, false},
			{"a run, another run", own, run, run, 80, false},
			{"the relay, a broker's pod", own, program, labels.Set{"eventing.knative.dev/broker": "default"}, 8080, true},
		} {
			if got := in.reaches(t, c.namespace, c.from, c.to, c.port); got != c.want {
				t.Errorf("%s: %s: %t, want %t", dir, c.what, got, c.want)
			}
		}
	}
}

// reaches tells whether the policies let a pod of a namespace reach a port of a pod of the installation.
func (in *installation) reaches(t *testing.T, namespace string, from, to labels.Set, port int32) bool {
	t.Helper()
	selects := func(s *metav1.LabelSelector, of labels.Set) bool {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return selector.Matches(of)
	}
	restricted := false
	for _, p := range in.policies {
		if !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) || !selects(&p.Spec.PodSelector, to) {
			continue
		}
		restricted = true
		for _, rule := range p.Spec.Ingress {
			open := len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(r networkingv1.NetworkPolicyPort) bool { return r.Port.IntVal == port })
			known := len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
				there := namespace == in.namespace.Name
				if peer.NamespaceSelector != nil {
					there = selects(peer.NamespaceSelector, labels.Set{"kubernetes.io/metadata.name": namespace})
				}
				return there && (peer.PodSelector == nil || selects(peer.PodSelector, from))
			})
			if open && known {
				return true
			}
		}
	}
	return !restricted
}

// TestMoveLog: the pod that moves a log may run in the namespace, and mounts the volume of the base's NATS.
func TestMoveLog(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("examples", "move-log.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := strict[corev1.Pod](text)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &p.ObjectMeta, &p.Spec)); !r.Allowed {
		t.Error(r.ForbiddenDetail())
	}
	nats := build(t, "base").sets["nats"]
	if claim := nats.Spec.VolumeClaimTemplates[0].Name + "-" + nats.Name + "-0"; p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != claim {
		t.Errorf("it mounts %s, not %s", p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName, claim)
	}
}
