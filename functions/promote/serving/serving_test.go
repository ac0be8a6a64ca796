package serving_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/promote/serving"
	"millrace.dev/shared/state"
)

var update = flag.Bool("update", false, "write the golden objects anew")

const pipelineFile = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  model: {task: regression}
  serve: %s
`

// flights is a pipeline of three versions.
func flights(t *testing.T, serve string) *state.Pipeline {
	t.Helper()
	c, err := config.Parse("pipeline.yaml", fmt.Appendf(nil, pipelineFile, serve))
	if err != nil {
		t.Fatal(err)
	}
	p := state.New("flights")
	p.Config = c
	for v := 1; v <= 4; v++ {
		p.Models = append(p.Models, &state.Model{Version: v, Approved: true, Model: events.Model{
			Format: "onnx", Files: []events.File{{Name: "model.onnx", Ref: events.Ref{URL: fmt.Sprintf("sha256/0%d.onnx", v)}}},
		}})
	}
	return p
}

// champion makes a version have all traffic.
func champion(p *state.Pipeline, version int, before ...int) {
	p.Rollout = nil
	p.Route = state.Route{Champion: version, Champions: before, Weights: []events.Weight{{Version: version, Percent: 100}}}
}

// canary gives a version a share beside the champion.
func canary(p *state.Pipeline, version int, percent float64) {
	p.Rollout = &state.Rollout{RolloutStarted: events.RolloutStarted{Version: version}}
	p.Route.Weights = []events.Weight{{Version: p.Route.Champion, Percent: 100 - percent}, {Version: version, Percent: percent}}
}

// installed is the template of the installation's own Service, with what a
// cluster's webhook has added.
func installed(t *testing.T) serving.Object {
	t.Helper()
	var o serving.Object
	b, err := os.ReadFile(filepath.Join("testdata", "inference.yaml"))
	if err == nil {
		err = yaml.Unmarshal(b, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o["spec"].(serving.Object)["template"].(serving.Object)
}

var settings = serving.Settings{Namespace: "millrace", Keep: 2}

// place is what has been applied and made: what a cluster would have.
type place struct {
	t    *testing.T
	live serving.Live
	told []string
}

func newPlace(t *testing.T) *place {
	return &place{t: t, live: serving.Live{Template: installed(t), Now: time.Date(2013, 4, 1, 12, 0, 0, 0, time.UTC)}}
}

// do asks for the next step and writes down what it says.
func (pl *place) do(p *state.Pipeline) serving.Step {
	pl.t.Helper()
	s := serving.Knative(p, settings, pl.live)
	if again := serving.Knative(p, settings, pl.live); fmt.Sprint(s) != fmt.Sprint(again) {
		pl.t.Fatalf("asked twice, two steps:\n%v\n%v", s, again)
	}
	switch {
	case s.Manager == serving.ManagerRoute:
		pl.route(s.Apply["spec"].(serving.Object)["traffic"].([]any))
	case s.Manager == serving.ManagerModel:
		pl.model(s.Apply)
	case s.Failed != 0:
		pl.tell("failed v%d: %s", s.Failed, s.Reason)
	case s.Waits != "":
		pl.tell("waits: %s", s.Waits)
	default:
		pl.tell("%s", s.Serves)
	}
	for _, name := range s.Delete {
		pl.tell("delete %s", name)
		pl.live.Revisions = slices.DeleteFunc(pl.live.Revisions, func(r serving.Object) bool {
			return r["metadata"].(serving.Object)["name"] == name
		})
	}
	return s
}

// settle does steps until one applies nothing.
func (pl *place) settle(p *state.Pipeline) {
	pl.t.Helper()
	for range 10 {
		if pl.do(p).Apply == nil {
			return
		}
	}
	pl.t.Fatalf("it does not come to rest: %s", strings.Join(pl.told, "\n"))
}

func (pl *place) tell(format string, args ...any) {
	pl.told = append(pl.told, fmt.Sprintf(format, args...))
}

func (pl *place) route(traffic []any) {
	var parts []string
	for _, t := range traffic {
		t := t.(serving.Object)
		parts = append(parts, fmt.Sprintf("%s %v %% to %s", t["tag"], t["percent"], t["revisionName"]))
	}
	pl.tell("route: %s", strings.Join(parts, ", "))
	pl.live.Service["spec"].(serving.Object)["traffic"] = traffic
}

// model lays the template over the Service and makes its revision.
func (pl *place) model(applied serving.Object) {
	template := applied["spec"].(serving.Object)["template"].(serving.Object)
	name := template["metadata"].(serving.Object)["name"].(string)
	pl.tell("model: %s", name)
	if pl.live.Service == nil {
		pl.live.Service = serving.Object{"spec": serving.Object{"traffic": []any{serving.Object{"latestRevision": true, "percent": int64(100)}}}}
	}
	pl.live.Service["spec"].(serving.Object)["template"] = template
	for _, r := range pl.live.Revisions {
		if r["metadata"].(serving.Object)["name"] == name {
			return
		}
	}
	meta := serving.Object{
		"name": name, "creationTimestamp": fmt.Sprintf("2013-04-01T12:00:%02dZ", len(pl.live.Revisions)),
		"labels": maps.Clone(template["metadata"].(serving.Object)["labels"].(serving.Object)),
	}
	pl.live.Revisions = append(pl.live.Revisions, serving.Object{"metadata": meta})
}

// become sets the condition of the newest revision.
func (pl *place) become(status, reason, message string, ago time.Duration) {
	r := pl.live.Revisions[len(pl.live.Revisions)-1]
	r["status"] = serving.Object{"conditions": []any{serving.Object{
		"type": "Ready", "status": status, "reason": reason, "message": message,
		"lastTransitionTime": pl.live.Now.Add(-ago).Format(time.RFC3339),
	}}}
}

func (pl *place) ready() { pl.become("True", "", "", 0) }

func (pl *place) golden(name string) {
	golden(pl.t, name+".txt", []byte(strings.Join(pl.told, "\n")+"\n"))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s; go test -update writes it anew\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

// From the first version to the third, and back: no traffic goes to what has
// not been ready, and going back makes no revision.
func TestLife(t *testing.T) {
	t.Parallel()
	pl, p := newPlace(t), flights(t, "{}")
	pl.settle(p)
	champion(p, 1)
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	canary(p, 2, 10)
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	canary(p, 2, 50)
	pl.settle(p)
	champion(p, 2, 1)
	pl.settle(p)
	canary(p, 3, 0) // a person is waited for
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	champion(p, 3, 1, 2)
	pl.settle(p)
	champion(p, 2, 1) // back
	pl.settle(p)
	champion(p, 4, 1, 2) // direct: the traffic stays until it is ready
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	pl.golden("life")
}

// A version that cannot start is reported, after a while, and is in nobody's
// way: not in that of the traffic, and not in that of the next one.
func TestVersionThatCannotStart(t *testing.T) {
	t.Parallel()
	pl, p := newPlace(t), flights(t, "{}")
	champion(p, 1)
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	canary(p, 2, 10)
	pl.settle(p)
	pl.become("False", "ContainerMissing", `Unable to fetch image "registry.example.com/inference:2": 404`, 10*time.Second)
	pl.settle(p)
	if s := serving.Knative(p, settings, pl.live); s.After != 50*time.Second {
		t.Errorf("it is looked at again after %s, when its minute is over after 50 s", s.After)
	}
	pl.become("False", "ContainerMissing", `Unable to fetch image "registry.example.com/inference:2": 404`, 5*time.Minute)
	pl.settle(p)
	champion(p, 1) // the rollout was aborted
	pl.settle(p)
	pl.settle(p)
	canary(p, 3, 10)
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	pl.golden("cannot-start")
}

// An installation that begins with a log: the champion is made first, and has
// all the traffic until the canary is ready.
func TestFromNothingInTheMiddleOfARollout(t *testing.T) {
	t.Parallel()
	pl, p := newPlace(t), flights(t, "{}")
	champion(p, 1)
	canary(p, 2, 0.3)
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	pl.ready()
	pl.settle(p)
	pl.golden("from-nothing")
}

// Former versions have no tag where each would keep a pod.
func TestNoTagsWhereTheyCost(t *testing.T) {
	t.Parallel()
	pl, p := newPlace(t), flights(t, "{min_scale: 1}")
	for v := 1; v <= 4; v++ {
		champion(p, v, []int{1, 2, 3}[:v-1]...)
		pl.settle(p)
		pl.ready()
		pl.settle(p)
	}
	pl.golden("min-scale")
}

// The objects as they are applied; deploy/knative holds them against Knative's
// own code.
func TestServiceObjects(t *testing.T) {
	t.Parallel()
	pl, p := newPlace(t), flights(t, `{min_scale: 1, max_scale: 5, target: 20, resources: {cpu: "2", memory: 1Gi}}`)
	champion(p, 1)
	made := pl.do(p)
	pl.ready()
	canary(p, 2, 10)
	pl.do(p)
	pl.do(p)
	pl.ready()
	routed := pl.do(p)
	for name, s := range map[string]serving.Step{"model.yaml": made, "route.yaml": routed} {
		b, err := yaml.Marshal(s.Apply)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, b)
	}
}

func TestServiceName(t *testing.T) {
	t.Parallel()
	if got := serving.ServiceName("flights"); got != "inference-flights" {
		t.Error(got)
	}
	long := strings.Repeat("a", 63)
	if a, b := serving.ServiceName(long), serving.ServiceName(long[:62]); a == b || len(a) > 40 || !strings.HasPrefix(a, "inference-aaa") {
		t.Errorf("%s and %s", a, b)
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	for percent, want := range map[float64]int{0: 0, 0.1: 1, 0.5: 1, 1.4: 1, 10: 10, 33.3: 33, 66.7: 67, 99.9: 99, 100: 100} {
		if got := serving.Whole(percent); got != want {
			t.Errorf("%g is %d, want %d", percent, got, want)
		}
	}
}
