package serving

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/state"
)

// The field managers that we apply as.
const (
	// ManagerModel owns a model's template and labels, and all of an
	// InferenceService.
	ManagerModel = "millrace-model"
	// ManagerRoute owns a Service's traffic.
	ManagerRoute = "millrace-route"
)

// Labels of the objects, and of the pods that serve.
const (
	LabelPipeline = "millrace.dev/pipeline"
	LabelVersion  = "millrace.dev/version"
)

// Object is a Kubernetes object as decoded JSON.
type Object = map[string]any

// Live is what the cluster has for a pipeline.
type Live struct {
	// Template is the pod template of the installation's Service inference.
	Template Object
	// Service is the model's Service, nil if it does not exist.
	Service Object
	// Revisions are the Service's.
	Revisions []Object
	// Now is compared with the times of conditions.
	Now time.Time
}

// Step is what to do next, and how far the cluster has come before it is done.
type Step struct {
	// Apply is to be applied by Manager; nil if nothing is. It makes the
	// version Makes, if it makes one.
	Apply   Object
	Manager string
	Makes   int
	// Delete are the names of revisions that are no longer needed.
	Delete []string
	// Serves describes what has traffic, once the route is served.
	Serves string
	// Waits describes what is pending, if anything is, and After is when to look again.
	Waits string
	After time.Duration
	// Failed is a version that cannot start, and Reason why; 0 for none.
	Failed int
	Reason string
}

const (
	// patience is how long a revision may say that it is not ready before it is
	// given up: a server that is unavailable for a moment is not a fault of the
	// model.
	patience = time.Minute
	// longestName keeps a Service's name short enough for those of its
	// revisions, from which Kubernetes makes names of at most 63 letters.
	longestName = 40
)

// Settings of an installation.
type Settings struct {
	Namespace string
	// Keep is how many former champions keep their revisions.
	Keep int
}

// Knative returns the next step by which the pipeline's Service follows its
// route. It is called again after each step; a Step that applies, deletes and
// waits for nothing ends it.
func Knative(p *state.Pipeline, s Settings, live Live) Step {
	k := knative{p: p, Settings: s, live: live, name: ServiceName(p.Name), byVersion: newest(live.Revisions)}
	wanted := k.wanted()
	if len(wanted) == 0 {
		return Step{Serves: "no version serves"}
	}
	// What can be served is served first: traffic that names its revisions is
	// not moved by the next one that is made.
	if t := k.traffic(); t != nil && !sameTraffic(t, list(live.Service, "spec", "traffic")) {
		return Step{Apply: k.route(t), Manager: ManagerRoute}
	}
	for _, v := range wanted {
		if k.byVersion[v] == nil && k.makes(v) {
			return Step{Apply: k.model(v), Manager: ManagerModel, Makes: v}
		}
	}
	if step, waits := k.waits(wanted); waits {
		return step
	}
	if newer := k.tidied(); newer != nil {
		return Step{Apply: newer, Manager: ManagerModel}
	}
	return Step{Serves: k.serves(), Delete: k.unneeded(wanted)}
}

// ServiceName returns the name of a pipeline's Service.
func ServiceName(pipeline string) string {
	name := "inference-" + pipeline
	if len(name) <= longestName {
		return name
	}
	return strings.TrimRight(name[:longestName-7], "-") + "-" + digest(pipeline)[:6]
}

type knative struct {
	Settings
	p         *state.Pipeline
	live      Live
	name      string
	byVersion map[int]*revision
}

// wanted are the versions that the route needs, the champion first. A version
// that waits for approval can be called by its tag.
func (k knative) wanted() (versions []int) {
	if c := k.p.Route.Champion; c != 0 {
		versions = append(versions, c)
	}
	if r := k.p.Rollout; r != nil && r.Version != k.p.Route.Champion {
		versions = append(versions, r.Version)
	}
	return versions
}

// makes reports whether the version's revision may be made now. The first one
// has all the traffic at once; beside others only what they have is named.
func (k knative) makes(version int) bool {
	switch {
	case k.live.Service == nil:
		return version == k.wanted()[0]
	case k.making(version):
		return false
	}
	return len(list(k.live.Service, "spec", "traffic")) > 0 && !servesLatest(k.live.Service) || len(k.live.Revisions) == 0
}

// making reports whether the Service's template is already the version's.
func (k knative) making(version int) bool {
	return text(k.live.Service, "spec", "template", "metadata", "labels", LabelVersion) == strconv.Itoa(version) &&
		text(k.live.Service, "spec", "template", "metadata", "name") == revisionName(k.name, version, k.template(version))
}

// traffic is the Service's traffic as the route has it, as far as its versions
// are ready; nil while the champion is not.
func (k knative) traffic() []any {
	champion, rollout := k.p.Route.Champion, k.p.Rollout
	if champion == 0 && rollout != nil {
		champion = rollout.Version
	}
	first := k.byVersion[champion]
	if !k.ready(first) {
		return nil
	}
	rest, canary := 100, []any(nil)
	if rollout != nil && rollout.Version != champion {
		if r := k.byVersion[rollout.Version]; k.ready(r) {
			share := Whole(k.p.Route.Percent(rollout.Version))
			rest -= share
			canary = append(canary, target(r, share))
		}
	}
	return slices.Concat([]any{target(first, rest)}, canary, k.former())
}

// former are the former champions that stay, without traffic, newest first.
// Their tags cost nothing where versions scale to zero.
func (k knative) former() (targets []any) {
	if k.p.Config.Spec.Serve.MinScale > 0 {
		return nil
	}
	for _, v := range k.kept() {
		if r := k.byVersion[v]; r != nil && r.ready == "True" {
			targets = append(targets, target(r, 0))
		}
	}
	return targets
}

func (k knative) kept() (versions []int) {
	for _, v := range slices.Backward(k.p.Route.Champions) {
		if len(versions) < k.Keep && v != k.p.Route.Champion && (k.p.Rollout == nil || v != k.p.Rollout.Version) && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions
}

// ready reports whether the revision may have traffic. One that has traffic
// keeps it: its problem is then not its start.
func (k knative) ready(r *revision) bool {
	return r != nil && (r.ready == "True" || k.hasTraffic(r.name))
}

func (k knative) hasTraffic(revision string) bool {
	for _, t := range list(k.live.Service, "spec", "traffic") {
		if text(t, "revisionName") == revision && number(t, "percent") > 0 {
			return true
		}
	}
	return false
}

// waits returns the step that waits for a wanted version, if there is one.
func (k knative) waits(wanted []int) (Step, bool) {
	for _, v := range wanted {
		r := k.byVersion[v]
		switch {
		case r == nil && k.making(v) && refusal(k.live.Service) != "":
			return Step{Failed: v, Reason: refusal(k.live.Service)}, true
		case r == nil:
			return Step{Waits: fmt.Sprintf("Knative is making the revision of v%d", v)}, true
		case k.ready(r):
		case r.ready == "False" && k.live.Now.Sub(r.since) >= patience:
			return Step{Failed: v, Reason: r.why}, true
		case r.ready == "False":
			return Step{Waits: fmt.Sprintf("%s is not ready: %s", r.name, r.why), After: patience - k.live.Now.Sub(r.since)}, true
		default:
			return Step{Waits: r.name + " is starting", After: r.lookAgain(k.live.Now)}, true
		}
	}
	return Step{}, false
}

// tidied is the Service with the template of the newest version it serves, if
// it has that of a version that was given up: otherwise Knative would keep
// reporting that the Service is not ready. It does so only if that creates no
// revision.
func (k knative) tidied() Object {
	for _, v := range slices.Backward(k.wanted()) {
		r := k.byVersion[v]
		if r.name == revisionName(k.name, v, k.template(v)) && text(k.live.Service, "spec", "template", "metadata", "name") != r.name {
			return k.model(v)
		}
		if text(k.live.Service, "spec", "template", "metadata", "name") == r.name {
			return nil
		}
	}
	return nil
}

// unneeded are the revisions that neither serve nor are kept.
func (k knative) unneeded(wanted []int) (names []string) {
	needed := map[string]bool{text(k.live.Service, "spec", "template", "metadata", "name"): true}
	for _, v := range slices.Concat(wanted, k.kept()) {
		if r := k.byVersion[v]; r != nil {
			needed[r.name] = true
		}
	}
	for _, part := range []string{"spec", "status"} {
		for _, t := range list(k.live.Service, part, "traffic") {
			needed[text(t, "revisionName")] = true
		}
	}
	for _, r := range k.live.Revisions {
		if name := text(r, "metadata", "name"); !needed[name] && text(r, "metadata", "labels", LabelVersion) != "" {
			names = append(names, name)
		}
	}
	return names
}

// serves describes the traffic.
func (k knative) serves() string {
	var parts []string
	for _, t := range list(k.live.Service, "spec", "traffic") {
		if n := number(t, "percent"); n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d %%", cmp.Or(text(t, "tag"), text(t, "revisionName")), n))
		}
	}
	said := fmt.Sprintf("the Service %s serves %s", k.name, strings.Join(parts, " and "))
	for _, w := range k.p.Route.Weights {
		if w.Percent != float64(int(w.Percent)) {
			return said + "; Knative splits traffic in whole per cents"
		}
	}
	return said
}

// Whole returns a share in whole per cents. Only 0 becomes 0, and only 100
// becomes 100.
func Whole(percent float64) int {
	switch n := int(percent + 0.5); {
	case percent > 0 && n == 0:
		return 1
	case percent < 100 && n == 100:
		return 99
	default:
		return n
	}
}

// newest are the revisions by the version that they serve; of several of one
// version the newest that is ready, else the newest.
func newest(revisions []Object) map[int]*revision {
	found := map[int]*revision{}
	for _, o := range revisions {
		version, err := strconv.Atoi(text(o, "metadata", "labels", LabelVersion))
		if err != nil {
			continue
		}
		r := revisionOf(o, version)
		if old := found[version]; old == nil || r.better(old) {
			found[version] = r
		}
	}
	return found
}

func target(r *revision, percent int) Object {
	return Object{"revisionName": r.name, "percent": int64(percent), "tag": "v" + strconv.Itoa(r.version)}
}

func sameTraffic(a, b []any) bool {
	return slices.EqualFunc(a, b, func(x, y any) bool {
		return text(x, "revisionName") == text(y, "revisionName") && text(x, "tag") == text(y, "tag") && number(x, "percent") == number(y, "percent")
	})
}

func servesLatest(service Object) bool {
	for _, t := range list(service, "spec", "traffic") {
		if latest, _ := at(t, "latestRevision").(bool); latest && text(t, "revisionName") == "" {
			return true
		}
	}
	return false
}

// route is the part of the Service that has the traffic.
func (k knative) route(traffic []any) Object {
	return Object{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service",
		"metadata": Object{"name": k.name, "namespace": k.Namespace},
		"spec":     Object{"traffic": traffic},
	}
}

// model is the part of the Service from which the version's revision is made.
func (k knative) model(version int) Object {
	template := k.template(version)
	template["metadata"].(Object)["name"] = revisionName(k.name, version, k.template(version)) //nolint:forcetypeassert // made by template
	return Object{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service",
		"metadata": Object{"name": k.name, "namespace": k.Namespace, "labels": labels(k.p.Name)},
		"spec":     Object{"template": template},
	}
}

func labels(pipeline string) Object {
	return Object{
		"app.kubernetes.io/name": "inference", "app.kubernetes.io/part-of": "millrace", "app.kubernetes.io/managed-by": "millrace",
		LabelPipeline: pipeline,
	}
}

// template is the pod template of a version, without its name.
func (k knative) template(version int) Object {
	serve := k.p.Config.Spec.Serve
	t, _ := deepCopy(k.live.Template).(Object)
	meta := member(t, "metadata")
	delete(meta, "name")
	delete(meta, "creationTimestamp")
	annotations, marks := member(meta, "annotations"), member(meta, "labels")
	maps.Copy(annotations, Object{
		"autoscaling.knative.dev/min-scale": strconv.Itoa(serve.MinScale),
		"autoscaling.knative.dev/max-scale": strconv.Itoa(serve.MaxScale),
		"autoscaling.knative.dev/target":    strconv.Itoa(serve.Target),
		"serving.knative.dev/no-gc":         "true", // the route determines which versions stay
	})
	maps.Copy(marks, labels(k.p.Name))
	marks[LabelVersion] = strconv.Itoa(version)
	containers := list(t, "spec", "containers")
	if len(containers) == 0 {
		return t
	}
	c, _ := containers[0].(Object)
	environment, _ := c["env"].([]any)
	c["env"] = append(environment,
		Object{"name": "MILLRACE_INFERENCE_PIPELINE", "value": k.p.Name},
		Object{"name": "MILLRACE_INFERENCE_VERSION", "value": strconv.Itoa(version)})
	if len(serve.Resources) > 0 {
		resources := member(c, "resources")
		for name, q := range serve.Resources {
			member(resources, "requests")[name] = string(q)
			if name == "cpu" {
				delete(member(resources, "limits"), name) // the limit may be higher
			} else {
				member(resources, "limits")[name] = string(q)
			}
		}
	}
	return t
}

func revisionName(service string, version int, template Object) string {
	return fmt.Sprintf("%s-v%d-%s", service, version, digest(template)[:5])
}
