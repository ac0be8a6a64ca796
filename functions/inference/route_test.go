package inference

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/state"
)

func TestFollowsTheRoute(t *testing.T) {
	w := newWorld(t)
	g := goldenOf(t, "lightgbm")
	w.start() // before there is any pipeline

	if a := w.infer(g, 1); a.Code != 404 || !strings.Contains(a.Error, "there are no models yet") {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	w.ConfigureYAML(t, flights)
	w.until("flights is known", func() error {
		return code(w.infer(g, 1), 503, "flights has no promoted version yet: no model has been trained or registered")
	})
	if a := w.ask("GET", "/v1/models/flights", nil); a.Code != 503 || a.Ready {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	w.register("flights", "lightgbm")
	w.until("version 1 is known", func() error {
		return code(w.infer(g, 1), 503, "the newest, version 1, is approved and waits to be rolled out")
	})
	if a := w.ask("POST", "/v2/models/flights/versions/1/infer", g.inferBody(t, 0, 1, nil)); a.Code != 200 || a.Parameters["route"] != "pinned" {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	w.promote("flights", 1)
	w.serves(g, "1")
	w.register("flights", "logistic")
	w.promote("flights", 2)
	w.serves(g, "2")
	want := goldenOf(t, "logistic").Scores[1]
	if a := w.infer(g, 1); math.Abs(a.Outputs[1].Data[1].(float64)-want) > 1e-6 {
		t.Errorf("%s, want %v", a.Raw, want)
	}

	t.Run("pinned", func(t *testing.T) {
		for _, a := range []answer{
			w.ask("POST", "/v2/models/flights/versions/1/infer", g.inferBody(t, 0, 1, nil)),
			w.ask("POST", "/v2/models/flights/versions/v1/infer", g.inferBody(t, 0, 1, nil)),
			w.infer(g, 1, "X-Millrace-Version", "1"),
		} {
			if a.Code != 200 || a.Version != "1" || a.Parameters["route"] != "pinned" {
				t.Errorf("%d %s", a.Code, a.Raw)
			}
		}
	})
	t.Run("goes back", func(t *testing.T) {
		w.Announce(t, "flights", "promote", events.RolloutAborted{Version: 2, Weights: []events.Weight{{Version: 1, Percent: 100}}, Reason: "it was no good"})
		w.serves(g, "1")
	})
}

func code(a answer, code int, text string) error {
	if a.Code != code || !strings.Contains(a.Raw, text) {
		return fmt.Errorf("%d %s, want %d %s", a.Code, a.Raw, code, text)
	}
	return nil
}

func TestCanary(t *testing.T) {
	w, g := servedFlights(t)
	w.canary("flights", w.register("flights", "logistic"), 30)
	body := g.inferBody(t, 0, 1, nil)
	w.until("the canary answers", func() error {
		if a := w.ask("POST", "/v2/models/flights/infer", body); a.Version != "2" {
			return fmt.Errorf("%s", a.Raw)
		}
		return nil
	})
	count := func(n int, body []byte, headers func(i int) []string) (canary int) {
		for i := range n {
			a := w.ask("POST", "/v2/models/flights/infer", body, headers(i)...)
			switch {
			case a.Version == "2" && a.Parameters["route"] == "canary":
				canary++
			case a.Version != "1" || a.Parameters["route"] != "champion":
				t.Fatalf("%d %s", a.Code, a.Raw)
			}
		}
		return canary
	}
	none := func(int) []string { return nil }
	// 30 % of 300 with a standard deviation of 8.
	if n := count(300, body, none); n < 50 || n > 130 {
		t.Errorf("without a key %d of 300 went to the canary", n)
	}
	if n := count(300, body, func(i int) []string { return []string{"X-Millrace-Key", fmt.Sprint("customer-", i)} }); n < 50 || n > 130 {
		t.Errorf("by key %d of 300 went to the canary", n)
	}
	for i := range 5 {
		key := fmt.Sprint("customer-", i)
		byKey := count(20, body, func(int) []string { return []string{"X-Millrace-Key", key} })
		byID := count(20, g.inferBody(t, 0, 1, map[string]any{"id": key}), none)
		byHeader := count(20, body, func(int) []string { return []string{"X-Request-Id", key} })
		if byKey != 0 && byKey != 20 || byID != byKey || byHeader != byKey {
			t.Errorf("of 20 requests of %s, %d went to the canary by key, %d by id, %d by the header's id", key, byKey, byID, byHeader)
		}
	}
}

// A process with a fixed version serves that and nothing else, whatever
// the weights say, and is ready when it has it.
func TestOneVersion(t *testing.T) {
	w := newWorld(t)
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.promote("other", w.register("other", "logistic"))
	w.cfg.Pipeline, w.cfg.Version, w.cfg.ReadyWithin = "flights", 2, time.Nanosecond
	w.startIn(w.Deps(t, Name))
	if err := w.f.Ready(t.Context()); err == nil {
		t.Error("it is ready without its version")
	}
	w.canary("flights", w.register("flights", "logistic"), 1)
	w.until("it is ready", func() error { return w.f.Ready(t.Context()) })
	g := goldenOf(t, "lightgbm")
	for range 20 {
		if a := w.infer(g, 1); a.Version != "2" || a.Parameters["route"] != routeCanary {
			t.Fatalf("%d %s", a.Code, a.Raw)
		}
	}
	if a := w.ask("GET", "/v2/models/other", nil); a.Code != http.StatusNotFound {
		t.Errorf("another pipeline: %d %s", a.Code, a.Raw)
	}
}

func TestShares(t *testing.T) {
	versions := map[int]*version{1: {number: 1}, 2: {number: 2}, 3: {number: 3}}
	weights := func(percents ...float64) []events.Weight {
		var ws []events.Weight
		for i, p := range percents {
			ws = append(ws, events.Weight{Version: i + 1, Percent: p})
		}
		return ws
	}
	for _, c := range []struct {
		name   string
		route  state.Route
		loaded []int
		want   string
	}{
		{"Alone", state.Route{Champion: 1, Weights: weights(100)}, []int{1}, "v1 100 %"},
		{"Canary", state.Route{Champion: 1, Weights: weights(90, 10)}, []int{1, 2}, "v2 10 %, v1 90 %"},
		{"Grain", state.Route{Champion: 1, Weights: weights(99.9, 0.1)}, []int{1, 2}, "v2 0.1 %, v1 99.9 %"},
		{"Three", state.Route{Champion: 2, Weights: weights(20, 70, 10)}, []int{1, 2, 3}, "v1 20 %, v3 10 %, v2 70 %"},
		{"CanaryHasAll", state.Route{Champion: 1, Weights: weights(0, 100)}, []int{1, 2}, "v2 100 %"},
		{"FirstOnItsWay", state.Route{Weights: weights(100)}, []int{1}, "v1 100 %"},
		{"CanaryDoesNotLoad", state.Route{Champion: 1, Weights: weights(90, 10)}, []int{1}, "v1 100 %"},
		{"ChampionDoesNotLoad", state.Route{Champion: 1, Weights: weights(90, 10)}, []int{2}, "v2 100 %"},
		{"NothingLoads", state.Route{Champion: 1, Weights: weights(90, 10)}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			loaded := map[int]*version{}
			for _, n := range c.loaded {
				loaded[n] = versions[n]
			}
			s := &served{shares: sharesOf(c.route, loaded)}
			if got := s.describe(); got != c.want {
				t.Errorf("shares are %q, want %q", got, c.want)
			}
		})
	}
}

func TestPoints(t *testing.T) {
	s := &served{name: "flights", shares: []share{{&version{number: 2}, 1, routeCanary}, {&version{number: 1}, whole, routeChampion}}}
	wide := &served{name: "flights", shares: []share{{&version{number: 2}, 500, routeCanary}, {&version{number: 1}, whole, routeChampion}}}
	few, half, other := 0, 0, 0
	const keys = 200_000
	for i := range keys {
		key := fmt.Sprint("key-", i)
		p := pointOf("flights", key)
		if p != pointOf("flights", []byte(key)) || p >= whole {
			t.Fatalf("the point of %s is %d", key, p)
		}
		narrow := s.pick(p).route == routeCanary
		broad := wide.pick(p).route == routeCanary
		if narrow {
			few++
			if !broad {
				t.Fatalf("%s was the canary's at 0.1 %% and is not at 50 %%", key)
			}
		}
		if broad {
			half++
			if wide.pick(pointOf("weather", key)).route == routeCanary {
				other++
			}
		}
	}
	if few < 150 || few > 250 {
		t.Errorf("0.1 %% of %d keys are %d", keys, few)
	}
	if math.Abs(float64(half)-keys/2) > 1000 || math.Abs(float64(other)-keys/4) > 1000 {
		t.Errorf("half of %d keys are %d, and another pipeline shares %d of them", keys, half, other)
	}
}

// TestPointsStay holds the place of some keys, so that a key stays with its
// version while an update of the program rolls out.
func TestPointsStay(t *testing.T) {
	for _, test := range []struct {
		pipeline, key string
		want          uint64
	}{
		{"flights", "customer-7", 330},
		{"flights", "42", 300},
		{"flights", "", 698},
		{"tumours", "customer-7", 660},
		{"f", "lights42", 868},
		{"flights", "\x00ü", 483},
	} {
		if got := pointOf(test.pipeline, test.key); got != test.want {
			t.Errorf("%s %q is at %d, and was at %d before", test.pipeline, test.key, got, test.want)
		}
	}
}

// TestSwapUnderLoad changes the route while requests come: none fails, and
// each answer is of one version.
func TestSwapUnderLoad(t *testing.T) {
	for name, serve := range map[string]string{"Alone": "", "Together": "  serve: {batch: {max_rows: 64, max_wait: 200us}}\n"} {
		t.Run(name, func(t *testing.T) { swapUnderLoad(t, serve) })
	}
}

func swapUnderLoad(t *testing.T, serve string) {
	w, g := newWorld(t), goldenOf(t, "lightgbm")
	w.ConfigureYAML(t, flights+serve)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.cfg.SpareVersions = 1
	w.start()
	w.register("flights", "logistic")
	want := map[string][]any{}
	for i, model := range []string{"lightgbm", "logistic"} {
		a := w.ask("POST", "/v2/models/flights/versions/"+fmt.Sprint(i+1)+"/infer", g.inferBody(t, 0, 20, nil))
		if a.Code == 404 { // not known yet
			w.until("version 2 is known", func() error {
				a = w.ask("POST", "/v2/models/flights/versions/2/infer", g.inferBody(t, 0, 20, nil))
				return code(a, 200, "")
			})
		}
		if math.Abs(a.Outputs[1].Data[0].(float64)-goldenOf(t, model).Scores[0]) > 1e-6 {
			t.Fatalf("%s is not %s", a.Raw, model)
		}
		want[a.Version] = a.Outputs[1].Data
	}
	var wg sync.WaitGroup
	var answered, second atomic.Int64
	stop := make(chan struct{})
	body := g.inferBody(t, 0, 20, nil)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := w.try("POST", "/v2/models/flights/infer", body)
				if err != nil || a.Code != 200 || !slices.EqualFunc(a.Outputs[1].Data, want[a.Version], near) {
					t.Errorf("%v: %d %s", err, a.Code, a.Raw)
					return
				}
				answered.Add(1)
				if a.Version == "2" {
					second.Add(1)
				}
			}
		})
	}
	for round := 0; round < 6 || answered.Load() < 100 && !t.Failed(); round++ {
		for _, version := range []int{2, 1} {
			w.promote("flights", version)
			w.serves(g, fmt.Sprint(version))
		}
	}
	close(stop)
	wg.Wait()
	if second.Load() == 0 || second.Load() == answered.Load() {
		t.Errorf("of %d requests %d were answered by version 2", answered.Load(), second.Load())
	}
}

func TestVersionThatDoesNotLoad(t *testing.T) {
	w, g := servedFlights(t)
	bad := w.register("flights", "matrix") // a regression of other columns
	w.promote("flights", bad)
	w.until("the failure is counted", func() error {
		if n := counter(t, w.f.metrics.failures.WithLabelValues("flights")); n == 0 {
			return fmt.Errorf("%v failures", n)
		}
		return nil
	})
	if a := w.infer(g, 1); a.Code != 200 || a.Version != "1" {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
	if v := gauge(t, w.f.metrics.staleRoute.WithLabelValues("flights")); v != 1 {
		t.Errorf("the route counts as stale: %v", v)
	}
	w.promote("flights", w.register("flights", "logistic"))
	w.serves(g, "3")
	w.until("the route is no longer stale", func() error {
		if v := gauge(t, w.f.metrics.staleRoute.WithLabelValues("flights")); v != 0 {
			return fmt.Errorf("stale %v", v)
		}
		return nil
	})
}

// TestFeaturesChange gives the pipeline another feature. The version that does
// not know it keeps serving, in this process and in the next, whether requests
// already bring the new column or not.
func TestFeaturesChange(t *testing.T) {
	w, g := servedFlights(t)
	w.ConfigureYAML(t, strings.Replace(flights, "features: [carrier,", "features: [dest, carrier,", 1))
	old := string(g.inferBody(t, 0, 1, nil))
	more := strings.Replace(old, `{"inputs":[`, `{"inputs":[{"name":"dest","shape":[1],"datatype":"BYTES","data":["LAX"]},`, 1)
	both := func(t *testing.T) {
		t.Helper()
		w.until("both requests are answered", func() error {
			return errors.Join(
				code(w.ask("POST", "/v2/models/flights/infer", []byte(old)), 200, `"model_version":"1"`),
				code(w.ask("POST", "/v2/models/flights/infer", []byte(more)), 200, `"model_version":"1"`),
			)
		})
	}
	t.Run("now", both)
	w.stop()
	w.start()
	t.Run("after a restart", both)
}

// TestExternalData serves a model whose weights lie beside it.
func TestExternalData(t *testing.T) {
	w := newWorld(t)
	g := goldenOf(t, "external")
	w.ConfigureYAML(t, `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: ext}
spec:
  data:
    columns: {a: {type: float}, b: {type: float}, c: {type: float}, d: {type: float}, y: {type: string}}
  model: {task: multiclass_classification, label: y, classes: [one, two, three], features: [a, b, c, d]}
`)
	w.promote("ext", w.register("ext", "external", "external.data"))
	w.start()
	a := w.ask("POST", "/v2/models/ext/infer", g.inferBody(t, 0, g.rows(), nil))
	if a.Code != 200 {
		t.Fatalf("%d %s", a.Code, a.Raw)
	}
	for i, want := range g.Scores {
		if got := a.Outputs[1].Data[i].(float64); math.Abs(got-want) > 1e-6 {
			t.Fatalf("probability %d is %v, Python says %v", i, got, want)
		}
	}
}

// TestWithoutContract serves a model whose pipeline states only its task.
func TestWithoutContract(t *testing.T) {
	w := newWorld(t)
	g := goldenOf(t, "lightgbm")
	w.ConfigureYAML(t, "apiVersion: millrace.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: flights}\nspec: {model: {task: binary_classification}}\n")
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	body := strings.Replace(string(g.inferBody(t, 0, 1, nil)), `"datatype":"BOOL","data":[true]`, `"datatype":"FP32","data":[1]`, 1)
	a := w.ask("POST", "/v2/models/flights/infer", []byte(body))
	if a.Code != 200 || math.Abs(a.Outputs[1].Data[1].(float64)-g.Scores[1]) > 1e-6 {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}
