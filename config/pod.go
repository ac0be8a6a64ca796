package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// PodProblems checks train.pod against what a pipeline may say of its pod:
// where it runs, what it takes, and empty volumes and claims of trainers. All
// else is the installation's. It returns every problem, with the path of its
// field, nil without one. It is asked when a pipeline is checked, and again
// before its pod is made.
func PodProblems(pod map[string]any) Problems {
	p := podChecker{}
	fields := map[string]podRule{"metadata": {object: podMetadata}, "spec": {object: podSpec}}
	maps.Copy(fields, podMetadata)
	maps.Copy(fields, podSpec)
	p.value("spec.train.pod", pod, podRule{object: fields})
	p.mounts("spec.train.pod", pod)
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
	return p.problems
}

// podRule says what may stand in a field. Exactly one of them is set; of the
// zero value nothing but null is refused.
type podRule struct {
	// object are the fields of an object, list the rule of a list's items.
	object map[string]podRule
	list   *podRule
	// text is asked what is wrong with a text, "" for nothing.
	text func(string) string
	// keys is asked what is wrong with the names of a map of texts.
	keys func(string) string
	// only is the one value that is allowed, since it is the stricter one.
	only any
}

// trainerClaim begins the names of the volume claims and ConfigMaps that are
// made for trainers: those of others may hold the log or the artifacts.
const trainerClaim = "train-"

var (
	podText     = podRule{text: func(string) string { return "" }}
	podStricter = map[string]podRule{
		"runAsNonRoot": {only: true}, "readOnlyRootFilesystem": {only: true}, "allowPrivilegeEscalation": {only: false}, "privileged": {only: false},
	}
	podMetadata = map[string]podRule{"labels": {keys: podKey}, "annotations": {keys: podAnnotation}}
	podSpec     = map[string]podRule{
		"nodeSelector": {}, "tolerations": {}, "affinity": {}, "topologySpreadConstraints": {},
		"schedulerName": podText,
		"priorityClassName": {text: func(s string) string {
			return unless(!strings.HasPrefix(s, "system-"), "is a class of the cluster's own")
		}},
		"hostUsers":       {only: false},
		"securityContext": {object: map[string]podRule{"runAsNonRoot": {only: true}}},
		"volumes": {list: &podRule{object: map[string]podRule{
			"name": {text: func(s string) string {
				return unless(!slices.Contains([]string{"bin", "run", "home", "sidecar", "secret"}, s), "is a volume of the installation")
			}},
			"emptyDir": {},
			"persistentVolumeClaim": {object: map[string]podRule{
				"claimName": {text: ofTrainers}, "readOnly": {only: true},
			}},
			"configMap": {object: map[string]podRule{"name": {text: ofTrainers}, "items": {}, "defaultMode": {}, "optional": {}}},
			"ephemeral": {object: map[string]podRule{"volumeClaimTemplate": {object: map[string]podRule{"spec": {object: map[string]podRule{
				"accessModes": {}, "resources": {}, "storageClassName": podText,
			}}}}}},
		}}},
		"containers": {list: &podRule{object: map[string]podRule{
			"name":            {text: func(s string) string { return unless(s == "trainer", "is not the container trainer") }},
			"resources":       {object: map[string]podRule{"requests": {}, "limits": {}}},
			"securityContext": {object: podStricter},
			"workingDir":      podText,
			"volumeMounts": {list: &podRule{object: map[string]podRule{
				"name": podText, "readOnly": {}, "subPath": podText,
				"mountPath": {text: func(s string) string {
					return unless(strings.HasPrefix(s, "/") && !strings.Contains(s, "..") && !regexp.MustCompile(`^/+(millrace|proc|sys|etc|\.)?(/|$)`).MatchString(s),
						"is not an absolute path outside of /millrace, /etc, /proc and /sys")
				}},
			}}},
		}}},
	}
)

func unless(ok bool, problem string) string {
	if ok {
		return ""
	}
	return problem
}

func ofTrainers(name string) string {
	return unless(strings.HasPrefix(name, trainerClaim), "does not begin with "+trainerClaim+", as the names of what is made for trainers do")
}

// reserved are domains whose labels and annotations Kubernetes, Knative,
// service meshes and Millrace act on, and names by which Services choose pods.
var (
	reserved      = []string{"kubernetes.io", "k8s.io", "knative.dev", "millrace.dev", "istio.io", "linkerd.io", "cilium.io", "cncf.io", "hashicorp.com", "openshift.io"}
	reservedNames = []string{"app", "k8s-app", "name", "component", "service", "run"}
	// harmless are those that are allowed all the same.
	harmless = []string{"cluster-autoscaler.kubernetes.io/safe-to-evict"}
)

func podAnnotation(key string) string {
	domain, _, has := strings.Cut(key, "/")
	if !has || slices.Contains(harmless, key) {
		return ""
	}
	for _, r := range reserved {
		if domain == r || strings.HasSuffix(domain, "."+r) {
			return "is of the domain " + r + ", which others act on"
		}
	}
	return ""
}

func podKey(key string) string {
	if slices.Contains(reservedNames, key) {
		return "may be how a Service or a policy chooses its pods"
	}
	return podAnnotation(key)
}

type podChecker struct{ problems Problems }

func (p *podChecker) says(field, message string, allowed []string) {
	p.problems = append(p.problems, Problem{Field: field, Message: message, Allowed: allowed})
}

// value checks a value, and what is in it.
func (p *podChecker) value(path string, v any, rule podRule) {
	if v == nil {
		p.says(path, "is null, which would remove what is there", nil)
		return
	}
	switch {
	case rule.object != nil:
		m, ok := v.(map[string]any)
		if !ok {
			p.says(path, "is not a map", nil)
		}
		for name, v := range m {
			if sub, ok := rule.object[name]; ok {
				p.value(join(path, name), v, sub)
			} else {
				allowed := slices.Sorted(maps.Keys(rule.object))
				p.problems = append(p.problems, Problem{
					Field: join(path, name), Message: "is not for a pipeline to set" + podInstead[name], Allowed: allowed, Hint: didYouMean(name, allowed),
				})
			}
		}
	case rule.list != nil:
		l, ok := v.([]any)
		if !ok {
			p.says(path, "is not a list", nil)
		}
		for i, v := range l {
			p.value(index(path, i), v, *rule.list)
		}
	case rule.text != nil:
		if s, ok := v.(string); !ok {
			p.says(path, "is not a text", nil)
		} else if problem := rule.text(s); problem != "" {
			p.says(path, fmt.Sprintf("%q %s", s, problem), nil)
		}
	case rule.keys != nil:
		m, ok := v.(map[string]any)
		if !ok {
			p.says(path, "is not a map", nil)
		}
		for name, v := range m {
			if problem := rule.keys(name); problem != "" {
				p.says(join(path, name), problem, nil)
			}
			p.value(join(path, name), v, podText)
		}
	case rule.only != nil:
		if v != rule.only {
			p.says(path, fmt.Sprintf("may only be %v", rule.only), nil)
		}
	default:
		p.anything(path, v)
	}
}

// podInstead says where some of what is asked for belongs.
var podInstead = map[string]string{
	"env": ": train.env sets the environment", "envFrom": ": train.env sets the environment, also from Secrets",
	"command": ": train.command does", "args": ": train.command does", "image": ": train.image does",
	"secret":             ": train.env takes Secrets, {secret: name/key}",
	"serviceAccountName": ": it is the installation's", "imagePullSecrets": ": those of the installation's ServiceAccount hold",
	"terminationGracePeriodSeconds": ": train.timeout bounds a run", "activeDeadlineSeconds": ": train.timeout bounds a run",
}

// anything takes any value without null and directives of patches in it.
func (p *podChecker) anything(path string, v any) {
	switch v := v.(type) {
	case nil:
		p.value(path, v, podRule{})
	case map[string]any:
		for name, sub := range v {
			if strings.HasPrefix(name, "$") {
				p.says(join(path, name), "is a directive of a patch", nil)
				continue
			}
			p.anything(join(path, name), sub)
		}
	case []any:
		for i, sub := range v {
			p.anything(index(path, i), sub)
		}
	}
}

// mounts checks that each volume that is mounted is one of the patch: the
// others are the installation's.
func (p *podChecker) mounts(path string, pod map[string]any) {
	spec, ok := pod["spec"].(map[string]any)
	if ok {
		p.mounts(path+".spec", spec)
	}
	volumes := []string{}
	for _, v := range items(pod["volumes"]) {
		if name, ok := v["name"].(string); ok {
			volumes = append(volumes, name)
		}
	}
	for i, c := range items(pod["containers"]) {
		for k, m := range items(c["volumeMounts"]) {
			if name, ok := m["name"].(string); ok && !slices.Contains(volumes, name) {
				p.says(index(index(path+".containers", i)+".volumeMounts", k)+".name", fmt.Sprintf("%q is not a volume of train.pod", name), volumes)
			}
		}
	}
}

// items are the maps of a list; what is no map keeps its place.
func items(v any) []map[string]any {
	l, _ := v.([]any)
	out := make([]map[string]any, len(l))
	for i, v := range l {
		out[i], _ = v.(map[string]any)
	}
	return out
}
