//go:build !race

// With the race detector client-go would be built a second time, for code that
// is not ours: `make verify` runs this package without it.

package knative_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"go.uber.org/zap"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/eventing/pkg/eventfilter"
	"knative.dev/eventing/pkg/eventfilter/attributes"
	"knative.dev/eventing/pkg/eventfilter/subscriptionsapi"
	"sigs.k8s.io/yaml"

	"millrace.dev/events"
	"millrace.dev/triggers"
)

// documents are the objects of the triggers' files by kind.
func documents(t *testing.T, kind string) (docs [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "triggers", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no triggers: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
			if bytes.Contains(doc, []byte("\nkind: "+kind+"\n")) {
				docs = append(docs, doc)
			}
		}
	}
	return docs
}

func TestKnativeTakesTheSchedules(t *testing.T) {
	docs := documents(t, "PingSource")
	_, schedules, err := triggers.Embedded()
	if err != nil || len(docs) != len(schedules) {
		t.Fatalf("%d PingSources, %d schedules, %v", len(docs), len(schedules), err)
	}
	for i, doc := range docs {
		var p sourcesv1.PingSource
		if err := yaml.UnmarshalStrict(doc, &p); err != nil {
			t.Fatal(err)
		}
		p.Namespace = "default"
		p.SetDefaults(context.Background())
		if err := p.Validate(context.Background()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if s := schedules[i]; s.Name != p.Name || s.Cron != p.Spec.Schedule || s.Zone != p.Spec.Timezone {
			t.Errorf("%+v is not the PingSource %+v", s, p.Spec)
		}
	}
}

func TestKnativeTakesTheTriggers(t *testing.T) {
	for _, doc := range documents(t, "Trigger") {
		var k eventingv1.Trigger
		if err := yaml.UnmarshalStrict(doc, &k); err != nil {
			t.Fatal(err)
		}
		k.Namespace = "default"
		k.SetDefaults(context.Background())
		if err := k.Validate(context.Background()); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		ours, err := triggers.For(k.Spec.Subscriber.Ref.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, attributes := range everything() {
			if theirs := passes(k.Spec, attributes); theirs != ours.Matches(attributes) {
				t.Errorf("%s, %v: Knative says %t", k.Name, attributes, theirs)
			}
		}
	}
}

// everything is an event of each type, with what triggers look at.
func everything() (all []map[string]string) {
	types := []string{"dev.knative.sources.ping", "com.example.thing"}
	for _, typ := range events.Catalogue() {
		types = append(types, typ.Name)
	}
	for _, typ := range types {
		for _, action := range []string{"", "sweep", "tick", "retrain", "drift-check", "freshness"} {
			for _, via := range []string{"", "log", "elsewhere"} {
				a := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": typ}
				if action != "" {
					a["action"] = action
				}
				if via != "" {
					a["via"] = via
				}
				all = append(all, a)
			}
		}
	}
	return all
}

// passes is what Knative's broker does with a trigger and an event. The filter
// is not cleaned up: Knative's Cleanup may close a channel twice.
func passes(spec eventingv1.TriggerSpec, attrs map[string]string) bool {
	var f eventfilter.Filter
	switch {
	case len(spec.Filters) > 0:
		f = subscriptionsapi.CreateSubscriptionsAPIFilters(zap.NewNop(), spec.Filters)
	case spec.Filter != nil:
		f = attributes.NewAttributesFilter(spec.Filter.Attributes)
	default:
		return true
	}
	e := cloudevents.NewEvent()
	for k, v := range attrs {
		switch k {
		case "specversion":
		case "id":
			e.SetID(v)
		case "source":
			e.SetSource(v)
		case "type":
			e.SetType(v)
		case "subject":
			e.SetSubject(v)
		default:
			e.SetExtension(k, v)
		}
	}
	return f.Filter(context.Background(), e) != eventfilter.FailFilter
}

// Filters of any shape over events of any shape: both decide alike.
func TestFiltersAgree(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 7))
		spec := eventingv1.TriggerSpec{Broker: "default"}
		for range r.IntN(3) {
			spec.Filters = append(spec.Filters, anyFilter(r, 3))
		}
		matches := load(t, spec)
		for range 20 {
			attributes := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "a"}
			for range r.IntN(5) {
				if v := value(r); v != "" {
					attributes[name(r)] = v
				}
			}
			if theirs := passes(spec, attributes); theirs != matches(attributes) {
				text, _ := yaml.Marshal(spec)
				t.Fatalf("seed %d, %v: Knative says %t of\n%s", seed, attributes, theirs, text)
			}
		}
	}
}

// load returns what our filter says. One that asks for two types at once is
// refused at load, and matches nothing.
func load(t *testing.T, spec eventingv1.TriggerSpec) func(map[string]string) bool {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": map[string]string{"name": "f"},
		"spec": map[string]any{
			"broker": spec.Broker, "filters": spec.Filters,
			"subscriber": map[string]any{"ref": map[string]string{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "f"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := triggers.Load(fstest.MapFS{"f.yaml": {Data: text}})
	if err != nil && strings.Contains(err.Error(), "two types at once") {
		return func(map[string]string) bool { return false }
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return all[0].Matches
}

func name(r *rand.Rand) string { return []string{"type", "subject", "x", "y"}[r.IntN(4)] }

func value(r *rand.Rand) string { return []string{"a", "ab", "b", "abc", ""}[r.IntN(5)] }

func anyFilter(r *rand.Rand, depth int) eventingv1.SubscriptionsAPIFilter {
	pair := map[string]string{name(r): []string{"a", "ab", "b"}[r.IntN(3)]}
	list := func() (l []eventingv1.SubscriptionsAPIFilter) {
		for range 1 + r.IntN(3) {
			l = append(l, anyFilter(r, depth-1))
		}
		return l
	}
	if depth == 0 {
		return eventingv1.SubscriptionsAPIFilter{Exact: pair}
	}
	switch r.IntN(4) {
	case 0:
		return eventingv1.SubscriptionsAPIFilter{Exact: pair}
	case 1:
		return eventingv1.SubscriptionsAPIFilter{All: list()}
	case 2:
		return eventingv1.SubscriptionsAPIFilter{Any: list()}
	default:
		inner := anyFilter(r, depth-1)
		return eventingv1.SubscriptionsAPIFilter{Not: &inner}
	}
}
