package command

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/shared/state"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 3, 4, 15, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// shown is what an app shows, on the standard output and on the error.
func shown(t *testing.T, name string, show func(*app)) {
	t.Helper()
	time.Local = time.UTC
	var b bytes.Buffer
	screen := terminal.New(&b).At(now)
	show(&app{Options: Options{Server: "http://127.0.0.1:8080", Out: &b, Err: &b}, out: screen, err: screen})
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, b.String(), want)
	}
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func TestShowStatus(t *testing.T) {
	ended, last, until := ago(time.Hour), ago(2*time.Minute), ago(-time.Hour)
	shown(t, "status.txt", func(a *app) {
		a.showStatus(gateway.Status{
			Version: "v1.2.3", UptimeSeconds: 4000, Log: gateway.LogSize{Events: 1234, Bytes: 2_300_000},
			Pipelines: []gateway.PipelineStatus{
				{Pipeline: "empty", Uploads: []string{"empty/*.csv"}},
				{
					Pipeline: "flights", Description: "Will a flight be late?", Snapshot: digest("a"), Partitions: 4, Rows: 105_475,
					Objects: map[state.ObjectStatus]int{state.ObjectValid: 4, state.ObjectRejected: 2},
					Running: []gateway.RunRow{{Run: "r3", Step: 40, Metrics: map[string]float64{"loss": 0.4871}, Started: ago(3 * time.Second)}},
					Wish:    &gateway.WishRow{Trigger: "drift", Reason: "nothing new to train on since v2", Until: &until},
					Last:    &gateway.RunRow{Run: "r2", Status: state.RunFailed, Failure: "exit code 1", Ended: &ended},
					Models:  3, Newest: &gateway.ModelRow{Version: 3, State: state.Canary, Created: ago(time.Minute)},
					Route: gateway.RouteRow{Champion: 2, Weights: []events.Weight{{Version: 2, Percent: 90}, {Version: 3, Percent: 10}}, Rollout: &gateway.RolloutRow{
						Version: 3, Steps: []float64{10, 50, 100}, Requests: 120, Errors: 1,
					}},
					Drift:  &gateway.DriftRow{Drifted: true, Reason: "temp has a PSI of 1.93", Time: ago(5 * time.Minute)},
					Served: gateway.ServedRow{Rows: 32_007, Last: &last},
					Dead:   1,
				},
			},
		})
	})
}

func TestShowRows(t *testing.T) {
	changed, p := ago(time.Minute), 0.0004
	shown(t, "rows.txt", func(a *app) {
		a.showRoutes([]gateway.RouteRow{
			{Pipeline: "wine"},
			{Pipeline: "flights", Champion: 1, Weights: []events.Weight{{Version: 1, Percent: 99.5}, {Version: 2, Percent: 0.5}}, Changed: &changed, Rollout: &gateway.RolloutRow{Version: 2, Steps: []float64{0.5, 100}, Waiting: true}},
		})
		a.showModels([]gateway.ModelRow{
			{Pipeline: "flights", Version: 1, State: state.Champion, Run: "r1", Snapshot: digest("b"), Metrics: map[string]float64{"roc_auc": 0.72094, "log_loss": 0.4753}, Created: ago(time.Hour)},
			{Pipeline: "flights", Version: 2, State: state.Rejected, Name: "elsewhere.onnx", Metrics: map[string]float64{"roc_auc": 0.5}, Reason: "all gates failed", Created: ago(time.Minute)},
		})
		a.showRuns([]gateway.RunRow{
			{Pipeline: "flights", Run: "r1", Status: state.RunCompleted, Trigger: "upload", Rows: 62_349, Holdout: 15_562, Version: 1, Seconds: 8.2, Step: 80, Metrics: map[string]float64{"loss": 0.4753}, Started: ago(time.Hour)},
			{Pipeline: "flights", Run: "r2", Status: state.RunFailed, Trigger: "request", Rows: 62_349, Holdout: 15_562, Seconds: 0.3, Failure: "exit code 1", Started: ago(time.Minute)},
		})
		a.showDatasets([]gateway.DatasetRow{{Pipeline: "flights", Snapshot: digest("a"), Partitions: 1, Rows: 26_398, Current: true, Created: ago(time.Hour), Warnings: []events.Problem{{Column: "dest", Reason: "new values"}}}})
		a.showLabels([]labelRow{{"flights", &state.Labels{Object: events.Object{Key: "flights-labels/1.parquet"}, Rows: 100, Matched: 98, Unmatched: 2, Time: ago(time.Minute)}}})
		a.showDrift([]checkRow{
			{"flights", &state.Check{DriftCheck: events.DriftCheck{Version: 1, Rows: 5000, Reason: "no drift"}, Time: ago(time.Hour)}},
			{"flights", &state.Check{Drifted: true, Action: "retrain", Time: ago(time.Minute), DriftCheck: events.DriftCheck{
				Version: 1, Rows: 5010, Reason: "temp drifted", Prediction: &events.ColumnDrift{Test: "psi", Statistic: 0.05, Threshold: 0.2},
				Columns: []events.ColumnDrift{
					{Column: "hour", Test: "psi", Statistic: 0.01, Threshold: 0.2},
					{Column: "temp", Test: "psi", Statistic: 1.93, Threshold: 0.2, Drifted: true, Reason: "mean 45.4, in training 37.06"},
					{Column: "humid", Test: "ks", Statistic: 0.2, PValue: &p, Threshold: 0.01, Drifted: true},
				},
			}}},
		})
		a.showDeadLetters([]gateway.DeadLetterRow{{Pipeline: "flights", DeadLetter: &state.DeadLetter{
			ID: "3f9c0a1b-0000", Type: "dev.millrace.object.uploaded.v1", Subject: "object/flights/1.csv", Function: "ingest", Attempts: 5, Reason: "the disk is full", Time: ago(time.Minute),
		}}})
	})
}

func TestShowOutcomes(t *testing.T) {
	verdicts := []events.Verdict{
		{Gate: "roc_auc >= 0.62", Value: 0.72, Passed: true, Reason: "at least 0.62 is asked for"},
		{Gate: "roc_auc >= 0.55 in every origin", Slice: "origin=JFK", Value: 0.45, Reason: "below 0.55"},
	}
	shown(t, "outcomes.txt", func(a *app) {
		for _, o := range []wait.Outcome{
			{End: wait.Done, Reason: "v1 is the champion", Hint: "millrace models"},
			{End: wait.Rejected, Reason: "told as the error", Verdicts: verdicts},
			{End: wait.Failed, Log: "Traceback:\n  File \"train.py\"\n\x1b[31mValueError\x1b[0m"},
			{End: wait.Rejected, Problems: []events.Problem{
				{Check: "values", Column: "carrier", Count: 1200, Fraction: 0.000427, Reason: "1,200 values are not allowed", Examples: []map[string]any{
					{"_row": 3159.0, "carrier": "XX", "late": nil, "time_hour": "2013-05-04T10:00:00Z"}, {"_row": 8246.0, "carrier": "XX", "late": true, "time_hour": "2013-05-09T12:00:00Z"},
				}},
				{Check: "enough-rows", Reason: "5 rows; at least 1,000 are asked for"},
			}},
		} {
			a.showOutcome(target{what: "flights/1.csv"}, o)
		}
	})
}

func TestShowWhy(t *testing.T) {
	node := func(id string, d events.Data, summary string) *gateway.WhyNode {
		return &gateway.WhyNode{ID: id, Type: d.EventType(), Time: ago(time.Minute), Summary: summary}
	}
	upload := node("1", events.ObjectUploaded{}, "flights/1.csv uploaded")
	drift := node("2", events.DriftDetected{}, "drift in 5,000 rows against v1")
	start := node("3", events.TrainingStarted{}, "run r2 started")
	again := node("1", events.ObjectUploaded{}, strings.Repeat("flights/1.csv ", 10))
	again.Repeated = true
	start.Causes = []*gateway.WhyNode{drift, upload}
	drift.Causes = []*gateway.WhyNode{again}
	approved := node("5", events.ModelApproved{}, "")
	approved.Subject = "flights/model/v2"
	approved.Verdicts = []events.Verdict{{Gate: "roc_auc >= 0.62", Value: 0.6567, Passed: true, Reason: "at least 0.62 is asked for"}}
	approved.Effects = []*gateway.WhyNode{node("6", events.ModelPromoted{}, "v2 is the champion"), node("7", events.EventHandled{}, "drift-check did nothing")}
	w := gateway.Why{Event: *node("4", events.TrainingCompleted{}, "run r2 has a model"), Truncated: true, Lineage: &gateway.Lineage{
		Run: "r2", Config: digest("c"), Commit: "abc", Code: digest("d"), Params: map[string]any{"trees": 80, "rate": 0.05}, Snapshot: digest("e"),
		Partitions: []gateway.LineagePartition{{Object: "flights/1.csv", Digest: digest("f"), Rows: 26398, Time: ago(time.Hour)}},
	}}
	w.Event.Causes = []*gateway.WhyNode{start}
	w.Event.Effects = []*gateway.WhyNode{approved}
	shown(t, "why.txt", func(a *app) { ShowWhy(a.out, w) })
}

func TestParseTime(t *testing.T) {
	at := time.Date(2026, 3, 4, 15, 0, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"2h": "2026-03-04T12:00:00Z", "90s": "2026-03-04T13:58:30Z", "2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z",
		"2026-01-31": "2026-01-30T23:00:00Z", "2026-01-31 12:30": "2026-01-31T11:30:00Z", "14:05": "2026-03-04T13:05:00Z", "14:05:09": "2026-03-04T13:05:09Z",
	} {
		got, err := parseTime(text, at)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is %s, %v; want %s", text, got.UTC(), err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "25:00", "2026-13-01"} {
		if got, err := parseTime(text, at); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestParseParams(t *testing.T) {
	got, err := parseParams([]string{"trees=200", "rate=0.05", "shuffle=true", "name=big one", "list=[1,2]", "empty="})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(got)
	if err != nil || string(b) != `{"empty":"","list":[1,2],"name":"big one","rate":0.05,"shuffle":true,"trees":200}` {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range [][]string{{"trees"}, {"=1"}, {"a=1", "a=2"}} {
		if _, err := parseParams(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
