package lineage

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
)

// log makes a history of made-up events, each with the next sequence.
type log struct {
	t  *testing.T
	h  *History
	at uint64
}

func newLog(t *testing.T) *log { return &log{t: t, h: New()} }

// say adds an event. id is "id" or "id<cause".
func (l *log) say(id, function string, d events.Data) {
	l.t.Helper()
	id, cause, _ := strings.Cut(id, "<")
	b, err := json.Marshal(d)
	if err != nil {
		l.t.Fatal(err)
	}
	l.at++
	l.h.Add(events.Envelope{Data: b, Header: events.Header{
		ID: id, Type: d.EventType(), Source: events.Source(function), Subject: "p/" + d.EventSubject(), Pipeline: "p",
		CausationID: cause, Sequence: l.at, Time: time.Date(2026, 1, 1, 0, 0, int(l.at), 0, time.UTC),
	}})
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func refTo(c string) events.Ref { return events.Ref{URL: "x", Digest: digest(c), Size: 1} }

// life is a pipeline's life: two uploads, v1, traffic, drift, v2 by canary.
func life(t *testing.T) *History {
	l := newLog(t)
	partition := func(key, c string) *events.DatasetPartition {
		return &events.DatasetPartition{Object: events.Object{Key: key}, Data: refTo(c), Rows: 10}
	}
	l.say("conf", "gateway", events.PipelineConfigured{Digest: "confdigest", Commit: "abcdef"})
	l.say("up-1", "gateway", events.ObjectUploaded{Object: events.Object{Key: "p/1.csv"}, Content: refTo("0")})
	l.say("part-1<up-1", "ingest", events.PartitionIngested{Object: events.Object{Key: "p/1.csv"}, Data: refTo("1"), Rows: 10})
	l.say("data-1<part-1", "validate", events.DatasetValidated{Snapshot: digest("a"), Added: partition("p/1.csv", "1"), Partitions: 1, Rows: 10})
	l.say("run-1<data-1", "train-launcher", events.TrainingStarted{Run: "r1", Snapshot: digest("a"), Config: "confdigest", Code: "code", Trigger: "upload"})
	l.say("step-1", "train-launcher", events.TrainingProgressed{Run: "r1", Step: 1})
	l.say("done-1", "train-launcher", events.TrainingCompleted{Run: "r1"})
	l.say("ok-1<done-1", "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: 1, Run: "r1", Reason: "good", Verdicts: []events.Verdict{{Gate: "auc >= 0.6", Passed: true, Reason: "auc 0.7 >= 0.6"}}}})
	l.say("roll-1<ok-1", "promote", events.RolloutStarted{Version: 1, Strategy: "direct"})
	l.say("live-1<ok-1", "promote", events.RolloutCompleted{Version: 1})
	l.say("promoted-1<ok-1", "promote", events.ModelPromoted{Version: 1})
	l.say("batch-1", "inference", events.PredictionsLogged{Rows: 100})
	l.say("up-2", "gateway", events.ObjectUploaded{Object: events.Object{Key: "p/2.csv"}, Content: refTo("9")})
	l.say("part-2<up-2", "ingest", events.PartitionIngested{Object: events.Object{Key: "p/2.csv"}, Data: refTo("2"), Rows: 10})
	l.say("data-2<part-2", "validate", events.DatasetValidated{Snapshot: digest("b"), Added: partition("p/2.csv", "2"), Partitions: 2, Rows: 20})
	l.say("skip-2<data-2", "train-launcher", events.TrainingSkipped{Reason: "only drift retrains"})
	l.say("drift<batch-1", "drift-check", events.DriftDetected{DriftCheck: events.DriftCheck{Version: 1, Rows: 100, Reason: "psi 0.9"}, Action: "retrain"})
	l.say("run-2<drift", "train-launcher", events.TrainingStarted{Run: "r2", Snapshot: digest("b"), Config: "confdigest", Code: "code", Trigger: "drift", Causes: []string{"drift", "data-2"}})
	l.say("done-2<run-2", "train-launcher", events.TrainingCompleted{Run: "r2"})
	l.say("ok-2<done-2", "evaluate", events.ModelApproved{Evaluation: events.Evaluation{Version: 2, Run: "r2", Reason: "better"}})
	l.say("roll-2<ok-2", "promote", events.RolloutStarted{Version: 2, Strategy: "canary"})
	l.say("batch-2", "inference", events.PredictionsLogged{Rows: 100})
	l.say("live-2<batch-2", "promote", events.RolloutCompleted{Version: 2})
	l.say("promoted-2<batch-2", "promote", events.ModelPromoted{Version: 2, Previous: 1})
	l.say("nothing<promoted-2", "evaluate", events.EventHandled{Event: "promoted-2", Function: "evaluate", Reason: "not mine"})
	return l.h
}

func TestWhy(t *testing.T) {
	t.Parallel()
	h := life(t)
	for _, word := range []string{"promoted-2", "r1", "p/1.csv"} {
		t.Run(word, func(t *testing.T) {
			found := h.Find(word)
			if len(found) != 1 {
				t.Fatalf("%q means %d events", word, len(found))
			}
			golden(t, "testdata/"+strings.ReplaceAll(word, "/", "-")+".golden", h.Why(found[0]))
		})
	}
}

// ids are those of a tree, in order, without what is repeated.
func ids(nodes []*api.WhyNode, children func(*api.WhyNode) []*api.WhyNode) []string {
	var out []string
	for _, n := range nodes {
		if !n.Repeated {
			out = append(append(out, n.ID), ids(children(n), children)...)
		}
	}
	return out
}

func TestWhyLeadsBack(t *testing.T) {
	t.Parallel()
	h := life(t)
	w := h.Why(h.ids["promoted-2"])
	causes := ids(w.Event.Causes, func(n *api.WhyNode) []*api.WhyNode { return n.Causes })
	for _, want := range []string{"roll-2", "ok-2", "done-2", "run-2", "drift", "batch-1", "data-2", "part-2", "up-2"} {
		if !slices.Contains(causes, want) {
			t.Errorf("v2 does not lead back to %s: %v", want, causes)
		}
	}
	if slices.Contains(causes, "skip-2") {
		t.Errorf("what was skipped is no cause: %v", causes)
	}
	l := w.Lineage
	if l == nil || l.Run != "r2" || l.Commit != "abcdef" || len(l.Partitions) != 2 || l.Partitions[0].Upload != "up-1" || l.Partitions[1].Object != "p/2.csv" {
		t.Errorf("lineage is %+v", l)
	}
	effects := ids(h.Why(h.ids["up-1"]).Event.Effects, func(n *api.WhyNode) []*api.WhyNode { return n.Effects })
	for _, want := range []string{"part-1", "data-1", "run-1", "done-1", "ok-1", "promoted-1"} {
		if !slices.Contains(effects, want) {
			t.Errorf("the upload does not lead to %s: %v", want, effects)
		}
	}
	if slices.Contains(effects, "step-1") {
		t.Error("a training's steps are told")
	}
}

func TestLineageAfterReplacementAndRemoval(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	add := func(id, key, c, removed, snapshot string) {
		l.say(id, "validate", events.DatasetValidated{
			Snapshot: snapshot, Removed: removed, RemovedObject: key, Partitions: 1, Rows: 1,
			Added: &events.DatasetPartition{Object: events.Object{Key: key}, Data: refTo(c), Rows: 1},
		})
	}
	add("1", "a", "1", "", "s1")
	add("2", "b", "1", "", "s2") // equal rows in another object
	add("3", "a", "3", digest("1"), "s3")
	l.say("4", "validate", events.DatasetValidated{Snapshot: "s4", Removed: digest("1"), RemovedObject: "b", Partitions: 1, Rows: 1})
	for snapshot, want := range map[string]string{"s1": "a1", "s2": "a1 b1", "s3": "a3 b1", "s4": "a3"} {
		var got []string
		for _, p := range l.h.partitions("p", snapshot, 10) {
			got = append(got, p.Object+p.Digest[len(p.Digest)-1:])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s holds %v, want %s", snapshot, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	h := life(t)
	for word, want := range map[string]string{
		"run-2": "run-2", "r2": "run-2", digest("b"): "data-2", strings.Repeat("b", 12): "data-2", "p/2.csv": "up-2",
		"sha256:2222": "part-2", "promoted-1": "promoted-1", "prom": "promoted-1 promoted-2", "xyz!": "", "p": "", "v2": "",
	} {
		var got []string
		for _, n := range h.Find(word) {
			got = append(got, n.id)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q means %v, want %s", word, got, want)
		}
	}
}

func TestWhyIsBounded(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.say("root", "gateway", events.ObjectUploaded{Object: events.Object{Key: "k"}})
	for i := range 2 * maxWhy {
		l.say(fmt.Sprintf("e%d<root", i), "x", events.EventHandled{Function: "x", Event: "root"})
	}
	w := l.h.Why(l.h.ids["root"])
	if !w.Truncated || len(w.Event.Effects) != maxWhy {
		t.Errorf("truncated %v, %d effects", w.Truncated, len(w.Event.Effects))
	}
}

func BenchmarkHistory(b *testing.B) {
	data, err := json.Marshal(events.PredictionsLogged{Rows: 100, Batch: refTo("1")})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h := New()
		for i := range 10_000 {
			h.Add(events.Envelope{Data: data, Header: events.Header{
				ID: fmt.Sprint(i), CausationID: fmt.Sprint(i - 1), Type: events.PredictionsLogged{}.EventType(), Pipeline: "p", Sequence: uint64(i + 1),
			}})
		}
	}
}

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
