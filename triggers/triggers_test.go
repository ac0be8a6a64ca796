package triggers_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/robfig/cron/v3"
	"sigs.k8s.io/yaml"

	"millrace.dev/events"
	"millrace.dev/triggers"
)

func embedded(t *testing.T) ([]triggers.Trigger, []triggers.Schedule) {
	t.Helper()
	ts, ss, err := triggers.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return ts, ss
}

func TestEmbeddedSubscriptions(t *testing.T) {
	t.Parallel()
	ts, _ := embedded(t)
	want := map[string]string{
		"object.uploaded":                "ingest",
		"object.removed":                 "ingest",
		"partition.ingested":             "validate",
		"partition.removed":              "validate",
		"labels.ingested":                "drift-check",
		"dataset.validated":              "train-launcher",
		"training.requested":             "train-launcher",
		"training.started":               "train-launcher",
		"training.completed":             "evaluate train-launcher",
		"training.failed":                "train-launcher",
		"pipeline.configured":            "ingest",
		"reingest.requested":             "ingest",
		"reingest.progressed":            "ingest",
		"model.registered":               "evaluate",
		"evaluation.requested":           "evaluate",
		"model.approved":                 "promote",
		"model.rejected":                 "train-launcher",
		"promotion.approved":             "promote",
		"rollback.requested":             "promote",
		"predictions.logged":             "drift-check promote",
		"rollout.started":                "promote",
		"rollout.advanced":               "promote",
		"rollout.completed":              "promote",
		"rollout.aborted":                "promote",
		"drift.detected":                 "train-launcher",
		"schedule.ticked sweep":          "ingest",
		"schedule.ticked tick":           "promote train-launcher",
		"schedule.ticked retrain":        "train-launcher",
		"schedule.ticked drift-check":    "drift-check",
		"schedule.ticked freshness":      "validate",
		"schedule.ticked no such action": "",
	}
	got := map[string]string{}
	receivers := func(name string, attributes map[string]string) {
		attributes["via"] = "log"
		var functions []string
		for _, tr := range ts {
			if tr.Matches(attributes) {
				functions = append(functions, tr.Function)
			}
		}
		slices.Sort(functions)
		got[name] = strings.Join(functions, " ")
	}
	for _, typ := range events.Catalogue() {
		name := typ.Noun() + "." + typ.Past()
		if name != "schedule.ticked" {
			receivers(name, map[string]string{"type": typ.Name})
			continue
		}
		for _, action := range []string{"sweep", "tick", "retrain", "drift-check", "freshness", "no such action"} {
			receivers(name+" "+action, map[string]string{"type": typ.Name, "action": action})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			t.Errorf("%s is received by %q, want %q", name, got[name], want[name])
		}
	}
}

func TestEmbeddedTypesAreInTheCatalogue(t *testing.T) {
	t.Parallel()
	ts, _ := embedded(t)
	for _, tr := range ts {
		if tr.Function == "gateway" {
			if tr.Types != nil {
				t.Errorf("the gateway is subscribed to %v only; it must be to everything else", tr.Types)
			}
			continue
		}
		if len(tr.Types) == 0 {
			t.Errorf("%s is subscribed to every type", tr.Name)
		}
		for _, typ := range tr.Types {
			if _, ok := events.Lookup(typ); !ok && strings.HasPrefix(typ, events.TypePrefix) {
				t.Errorf("%s is subscribed to %s, which is not in the catalogue", tr.Name, typ)
			}
		}
	}
}

// What did not come from the log goes to the gateway and to nobody else; what
// came from it never goes there again.
func TestEmbeddedOneEntrance(t *testing.T) {
	t.Parallel()
	ts, _ := embedded(t)
	for _, typ := range append(catalogueNames(), "dev.knative.sources.ping", "com.example.thing") {
		for _, via := range []string{"", "log"} {
			attributes := map[string]string{"type": typ, "action": "tick"}
			if via != "" {
				attributes["via"] = via
			}
			for _, tr := range ts {
				matches := tr.Matches(attributes)
				if tr.Function == "gateway" && matches != (via == "") || tr.Function != "gateway" && matches && via == "" {
					t.Errorf("%s via %q received by %s: %t", typ, via, tr.Function, matches)
				}
			}
		}
	}
}

func catalogueNames() []string {
	var names []string
	for _, typ := range events.Catalogue() {
		names = append(names, typ.Name)
	}
	return names
}

func TestEmbeddedFunctionsExist(t *testing.T) {
	t.Parallel()
	ts, _ := embedded(t)
	for _, tr := range ts {
		if tr.Name != tr.Function {
			t.Errorf("trigger %s leads to %s; there is one trigger a function, of its name", tr.Name, tr.Function)
		}
		if _, err := os.Stat(filepath.Join("..", "functions", tr.Function, "go.mod")); err != nil {
			t.Errorf("trigger %s: %v", tr.Name, err)
		}
	}
}

func TestEmbeddedSchedules(t *testing.T) {
	t.Parallel()
	_, ss := embedded(t)
	for _, s := range ss {
		if _, err := cron.ParseStandard("CRON_TZ=" + s.Zone + " " + s.Cron); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if err := (events.ScheduleTicked{Schedule: s.Name, Action: s.Action, Due: "2013-01-01T00:00:00Z"}).Validate(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	if len(ss) != 2 {
		t.Errorf("%d schedules, want sweep and tick", len(ss))
	}
}

func TestKustomizationListsEveryFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var k struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return f == "kustomization.yaml" })
	if !slices.Equal(k.Resources, files) {
		t.Errorf("kustomization.yaml lists %v, the folder has %v", k.Resources, files)
	}
}

func TestFor(t *testing.T) {
	t.Parallel()
	tr, err := triggers.For("validate")
	if err != nil || tr.Function != "validate" {
		t.Fatalf("%v, %v", tr, err)
	}
	if _, err := triggers.For("nobody"); err == nil || !strings.Contains(err.Error(), "no trigger leads to nobody") {
		t.Errorf("%v", err)
	}
}

func manifest(spec string) fstest.MapFS {
	return fstest.MapFS{"t.yaml": {Data: []byte("apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: f}\nspec:\n" +
		"  broker: default\n  subscriber: {ref: {kind: Service, name: f, apiVersion: serving.knative.dev/v1}}\n" + spec)}}
}

func TestLoadReportsMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, spec, want string }{
		{"misspelt filters", "  filers: []\n", `unknown field "filers"`},
		{"empty filter", "  filters: [{}]\n", "a filter is empty"},
		{"two dialects", "  filters: [{exact: {a: b}, prefix: {a: b}}]\n", "a filter is exact and prefix"},
		{"cesql", "  filters: [{cesql: \"version = '3'\"}]\n", "cesql: this dialect of Knative is not supported"},
		{"prefix", "  filters: [{all: [{prefix: {type: dev.}}]}]\n", "prefix: this dialect of Knative is not supported"},
		{"suffix", "  filters: [{suffix: {type: .v1}}]\n", "suffix: this dialect of Knative is not supported"},
		{"the older filter", "  filter: {attributes: {pipeline: flights}}\n", "spec.filter is not supported"},
		{"the older filter beside filters", "  filter: {attributes: {pipeline: other}}\n  filters: [{exact: {pipeline: flights}}]\n", "spec.filter is not supported"},
		{"empty any", "  filters: [{any: []}]\n", "any: the list is empty"},
		{"empty value", "  filters: [{exact: {a: ''}}]\n", "the value of a is empty"},
		{"bad name", "  filters: [{exact: {A-b: c}}]\n", `attribute name "A-b"`},
		{"no pairs", "  filters: [{exact: {}}]\n", "no attribute is named"},
		{"nested mistakes, all of them", "  filters: [{not: {exact: {B: c}}}, {all: [{exact: {C: d}}]}]\n", `"C"`},
		{"two types at once", "  filters: [{exact: {type: a}}, {exact: {type: b}}]\n", "two types at once"},
		{"dead", "  delivery: {retry: 3}\n  brokr: x\n", `unknown field "brokr"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := triggers.Load(manifest(c.spec))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "t.yaml, document 1: ") {
				t.Errorf("%v; want it to say %q", err, c.want)
			}
		})
	}
	t.Run("every file", func(t *testing.T) {
		fsys := fstest.MapFS{
			"a.yaml": {Data: []byte("kind: Pod\napiVersion: v1\n")},
			"b.yaml": {Data: []byte("{")},
			"c.yaml": {Data: []byte("apiVersion: sources.knative.dev/v1\nkind: PingSource\nmetadata: {name: p}\nspec: {schedule: '', data: '{\"schedule\": \"q\"}'}\n")},
		}
		_, _, err := triggers.Load(fsys)
		for _, want := range []string{`kind "Pod" of "v1" is not taken`, "b.yaml", "spec.schedule is missing", `the schedule is "q"`, "contentType", "no action"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want it to say %q", err, want)
			}
		}
	})
	t.Run("two of a name", func(t *testing.T) {
		fsys := manifest("")
		fsys["u.yaml"] = fsys["t.yaml"]
		if _, _, err := triggers.Load(fsys); err == nil || !strings.Contains(err.Error(), "two triggers of the name f") {
			t.Errorf("%v", err)
		}
	})
}

// The semantics of Knative's filters; deploy/e2e holds the same cases against
// Knative's own code.
func TestMatches(t *testing.T) {
	t.Parallel()
	event := map[string]string{
		"specversion": "1.0", "id": "7", "source": "/millrace/ingest", "type": "dev.millrace.object.uploaded.v1", "subject": "flights/object/x.csv",
		"time": "2013-01-01T00:00:00Z", "pipeline": "flights", "version": "3", "empty": "",
	}
	for _, c := range []struct {
		spec string
		want bool
	}{
		{"", true},
		{"  filters: []\n", true},
		{"  filters: [{exact: {pipeline: flights}}]\n", true},
		{"  filters: [{exact: {pipeline: Flights}}]\n", false},
		{"  filters: [{exact: {nothing: x}}]\n", false},
		{"  filters: [{exact: {version: '3'}}]\n", true},
		{"  filters: [{exact: {pipeline: flights, version: '4'}}]\n", false},
		{"  filters: [{exact: {subject: flights/object/x.csv}}]\n", true},
		{"  filters: [{exact: {empty: x}}]\n", false},
		{"  filters: [{all: [{exact: {version: '3'}}, {exact: {type: dev.millrace.object.uploaded.v1}}]}]\n", true},
		{"  filters: [{any: [{exact: {version: '4'}}, {exact: {type: dev.millrace.object.uploaded.v1}}]}]\n", true},
		{"  filters: [{any: [{exact: {version: '4'}}, {exact: {type: dev.millrace.object.uploaded.v2}}]}]\n", false},
		{"  filters: [{not: {exact: {via: log}}}]\n", true},
		{"  filters: [{not: {exact: {version: '3'}}}]\n", false},
		{"  filters: [{exact: {version: '3'}}, {exact: {version: '4'}}]\n", false},
	} {
		t.Run(strings.TrimSpace(c.spec), func(t *testing.T) {
			ts, _, err := triggers.Load(manifest(c.spec))
			if err != nil {
				t.Fatal(err)
			}
			if got := ts[0].Matches(event); got != c.want {
				t.Errorf("matches: %t, want %t", got, c.want)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, want string }{
		{"", ""},
		{"  filters: [{exact: {via: log}}]\n", ""},
		{"  filters: [{exact: {via: log, type: a}}]\n", "a"},
		{"  filters: [{any: [{exact: {type: b}}, {exact: {type: a}}, {exact: {type: b}}]}]\n", "a b"},
		{"  filters: [{any: [{exact: {type: b}}, {not: {exact: {type: a}}}]}]\n", ""},
		{"  filters: [{any: [{exact: {type: b}}, {exact: {type: a}}]}, {exact: {type: a}}]\n", "a"},
		{"  filters: [{not: {exact: {type: b}}}]\n", ""},
		{"  filters: [{all: [{exact: {via: log}}, {exact: {type: ab}}]}]\n", "ab"},
	} {
		t.Run(strings.TrimSpace(c.spec), func(t *testing.T) {
			ts, _, err := triggers.Load(manifest(c.spec))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ts[0].Types, " "); got != c.want {
				t.Errorf("types %q, want %q", got, c.want)
			}
		})
	}
}

func BenchmarkMatches(b *testing.B) {
	tr, err := triggers.For("train-launcher")
	if err != nil {
		b.Fatal(err)
	}
	attributes := map[string]string{"type": "dev.millrace.schedule.ticked.v1", "via": "log", "action": "tick", "pipeline": "flights"}
	b.ReportAllocs()
	for b.Loop() {
		if !tr.Matches(attributes) {
			b.Fatal("does not match")
		}
	}
}
