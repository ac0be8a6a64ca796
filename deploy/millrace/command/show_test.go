package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace.dev/deploy/millrace/terminal"
	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
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
		a.showStatus(api.Status{
			Version: "v1.2.3", UptimeSeconds: 4000, Log: api.LogSize{Events: 1234, Bytes: 2_300_000},
			Failing: []api.Failing{
				{
					Function: "ingest", Pipeline: "flights", Event: "3f9c0a1b-0000", Type: "dev.millrace.object.uploaded.v1", Subject: "flights/object/1.csv", Attempt: 3, Attempts: 8,
					First: ago(time.Minute), Next: ago(time.Second), Reason: "read s3://lake/1.csv: connection refused",
				},
			},
			Pipelines: []api.PipelineStatus{
				{Pipeline: "empty", Uploads: []string{"empty/*.csv"}},
				{
					Pipeline: "flights", Description: "Will a flight be late?", Snapshot: digest("a"), Partitions: 4, Rows: 105_475,
					Objects:         map[api.ObjectStatus]int{api.ObjectValid: 4, api.ObjectRejected: 2},
					Late:            &api.LateRow{Last: &ended, Due: ended, Reason: "no upload has joined the dataset for 26h; one is expected every 1d", Announced: ended},
					Running:         []api.RunRow{{Run: "r3", Step: 40, Metrics: map[string]float64{"loss": 0.4871}, Started: ago(3 * time.Second)}},
					PendingTraining: &api.PendingTraining{Trigger: "drift", Reason: "nothing new to train on since v2", Until: &until},
					Last:            &api.RunRow{Run: "r2", Status: api.RunFailed, Failure: "exit code 1", Ended: &ended},
					Models:          3, Newest: &api.ModelRow{Version: 3, State: api.Canary, Created: ago(time.Minute)},
					Route: api.RouteRow{Champion: 2, Weights: []events.Weight{{Version: 2, Percent: 90}, {Version: 3, Percent: 10}}, Rollout: &api.RolloutRow{
						Version: 3, Steps: []float64{10, 50, 100}, Requests: 120, Errors: 1,
					}},
					Drift:  &api.DriftRow{Drifted: true, Reason: "temp has a PSI of 1.93", Time: ago(5 * time.Minute)},
					Served: api.ServedRow{Rows: 32_007, Last: &last},
					Dead:   1,
				},
			},
		})
	})
}

func TestShowRows(t *testing.T) {
	changed, p := ago(time.Minute), 0.0004
	shown(t, "rows.txt", func(a *app) {
		a.showRoutes([]api.RouteRow{
			{Pipeline: "wine"},
			{Pipeline: "flights", Champion: 1, Weights: []events.Weight{{Version: 1, Percent: 99.5}, {Version: 2, Percent: 0.5}}, Changed: &changed, Rollout: &api.RolloutRow{Version: 2, Steps: []float64{0.5, 100}, Waiting: true}},
		})
		a.showSchedules([]api.ScheduleRow{
			{Pipeline: "flights", Schedule: "nightly", Do: "retrain", Cron: "0 2 * * *", Zone: "Europe/Berlin", Next: []time.Time{
				time.Date(2026, 3, 28, 2, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 3, 0, 0, 0, time.UTC),
			}},
			{Pipeline: "flights", Schedule: "hourly", Do: "drift-check", Cron: "@hourly", Zone: "UTC", Last: &changed, Next: []time.Time{
				time.Date(2026, 3, 28, 2, 0, 0, 0, time.UTC), time.Date(2026, 3, 28, 3, 0, 0, 0, time.UTC),
			}},
		})
		a.showModels([]api.ModelRow{
			{Pipeline: "flights", Version: 1, State: api.Champion, Run: "r1", Snapshot: digest("b"), Metrics: map[string]float64{"roc_auc": 0.72094, "log_loss": 0.4753}, Created: ago(time.Hour)},
			{Pipeline: "flights", Version: 2, State: api.Rejected, Name: "elsewhere.onnx", Metrics: map[string]float64{"roc_auc": 0.5}, Reason: "all gates failed", Created: ago(time.Minute)},
		})
		a.showRuns([]api.RunRow{
			{Pipeline: "flights", Run: "r1", Status: api.RunCompleted, Trigger: "upload", Rows: 62_349, Holdout: 15_562, Version: 1, Seconds: 8.2, Step: 80, Metrics: map[string]float64{"loss": 0.4753}, Started: ago(time.Hour), Warnings: []events.Problem{{Check: "fraction", Reason: "40 % of the rows are held out instead of 20 %"}}},
			{Pipeline: "flights", Run: "r2", Status: api.RunFailed, Trigger: "request", Rows: 62_349, Holdout: 15_562, Seconds: 0.3, Failure: "exit code 1", Started: ago(time.Minute)},
		})
		a.showDatasets([]api.DatasetRow{{Pipeline: "flights", Snapshot: digest("a"), Partitions: 1, Rows: 26_398, Current: true, Created: ago(time.Hour), Warnings: []events.Problem{{Column: "dest", Reason: "new values"}}}})
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
		a.showDeadLetters([]api.DeadLetterRow{{
			Pipeline: "flights", ID: "3f9c0a1b-0000", Type: "dev.millrace.object.uploaded.v1", Subject: "object/flights/1.csv", Function: "ingest", Attempts: 5, Reason: "the disk is full", Time: ago(time.Minute),
		}})
	})
}

func TestShowProfile(t *testing.T) {
	mean, std := 8.0/3, 1.5275252316519468
	now := []api.ProfileColumn{
		{
			Name: "hour", Type: "int", Count: 3, Nulls: 1, Distinct: 3, Exact: true, Min: json.Number("1"), Max: json.Number("9007199254740993"), Mean: &mean, Std: &std,
			Quantiles: []api.Quantile{{Share: 0.25, Value: json.Number("1.75")}, {Share: 0.5, Value: json.Number("2")}},
			Top:       []api.ValueCount{{Value: json.Number("1"), Count: 2}, {Value: json.Number("4"), Count: 1}},
			Histogram: []api.Bin{{From: json.Number("0.5"), To: json.Number("1.5"), Count: 40}, {From: json.Number("1.5"), To: json.Number("2.5")}, {From: json.Number("2.5"), To: json.Number("3.123456789"), Count: 3}},
		},
		{Name: "carrier", Type: "string", Count: 4, Distinct: 4, Exact: true, Min: "AA", Max: "XX", Top: []api.ValueCount{{Value: "UA", Count: 2}, {Value: "AA", Count: 1}, {Value: "XX", Count: 1}}},
		{Name: "id", Type: "string", Count: 4, Distinct: 123_456, Min: "a", Max: "b"},
	}
	before := []api.ProfileColumn{
		{
			Name: "hour", Type: "int", Count: 4, Distinct: 4, Exact: true, Min: json.Number("1"), Max: json.Number("3"), Quantiles: []api.Quantile{{Share: 0.25, Value: json.Number("1.5")}, {Share: 0.5, Value: json.Number("2.5")}},
			Histogram: []api.Bin{{Count: 2}, {Count: 1}, {Count: 1}},
		},
		{Name: "carrier", Type: "string", Count: 2, Distinct: 2, Exact: true, Min: "AA", Max: "UA", Top: []api.ValueCount{{Value: "AA", Count: 1}, {Value: "UA", Count: 1}}},
	}
	shown(t, "profile.txt", func(a *app) {
		p := api.Profile{
			Pipeline: "flights", Snapshot: digest("a"), Partitions: 2, Rows: 4, Created: ago(time.Minute), Columns: now,
			Before: &api.Profile{Pipeline: "flights", Snapshot: digest("b"), Partitions: 1, Rows: 4, Created: ago(time.Hour), Columns: before},
		}
		a.showDataset(p, false)
		a.showDataset(p, true)
		a.showDataset(api.Profile{Pipeline: "flights", Partition: "flights/2.csv", Rows: 4, Created: ago(time.Minute), Columns: now[1:]}, false)
	})
}

func TestShowOutcomes(t *testing.T) {
	verdicts := []events.Verdict{
		{Gate: "roc_auc >= 0.62", Value: 0.72, Passed: true, Reason: "at least 0.62 is required"},
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
			{End: wait.Rejected, Problems: []events.Problem{
				{Check: "readable", Column: "a", Count: 1, Reason: `line 2, column "a": "q" is not a number`, Examples: []map[string]any{{"_row": 2.0, "a": "q"}}},
				{Check: "readable", Column: "y", Count: 17, Reason: `line 3, column "y": "x" is not a number (17 of 60 values are wrong; others: 9, ...)`, Examples: []map[string]any{{"_row": 3.0, "y": "x"}, {"_row": 9.0, "y": "z"}}},
			}},
		} {
			a.showOutcome(target{what: "flights/1.csv"}, o, false)
		}
	})
}

// TestOutcomeError: what could not be read is said once, and an upload of the
// same bytes says that it started nothing.
func TestOutcomeError(t *testing.T) {
	one := []events.Problem{{Check: "readable", Column: "y", Count: 1, Reason: `line 3, column "y": "x" is not a number`, Examples: []map[string]any{{"_row": 3.0, "y": "x"}}}}
	for _, c := range []struct {
		o         wait.Outcome
		duplicate bool
		text, try string
		shown     string
	}{
		{
			o:    wait.Outcome{End: wait.Rejected, Reason: "t/a.csv was rejected: " + one[0].String(), Problems: one, Hint: "correct the file"},
			text: `t/a.csv was rejected: line 3, column "y": "x" is not a number`, try: "correct the file", shown: "rejected  t/a.csv\n",
		},
		{o: wait.Outcome{End: wait.Rejected, Reason: "2 problems; the first", Problems: append(one, one...), Hint: "correct the file"}, text: "t/a.csv was rejected for 2 problems", try: "correct the file"},
		{
			o: wait.Outcome{End: wait.Failed, Reason: "exit code 1", Run: "r1"}, duplicate: true,
			text: "nothing new was started: t/a.csv has these bytes already, and training failed: exit code 1",
			try:  "correct the trainer; millrace logs r1 has its whole log; afterwards run millrace retrain t",
		},
	} {
		var out bytes.Buffer
		a := &app{out: terminal.New(&out)}
		tt := target{what: "t/a.csv", pipeline: "t", duplicate: c.duplicate}
		e, ok := errors.AsType[*exit](a.outcomeError(tt, c.o))
		if !ok || e.text != c.text || e.hint != c.try {
			t.Errorf("%+v: %+v", c.o, e)
		}
		a.showOutcome(tt, c.o, true)
		if c.shown != "" && out.String() != c.shown {
			t.Errorf("printed %q", out.String())
		}
	}
}

// Where the model gave no number, null is shown and not 0.
func TestShowPredicted(t *testing.T) {
	late := 0.75
	shown(t, "predicted.txt", func(a *app) {
		p := predicting{app: a, classes: []string{"false", "true"}, rows: []predictedRow{
			{Request: "r1", Version: 2, Route: "champion", Label: "true", Probabilities: map[string]*float64{"false": nil, "true": &late}},
			{Request: "r1", Row: 1, Version: 2, Route: "champion"},
		}}
		p.show()
	})
}

// A regression's row always has its value, a classification's never.
func TestPredictedValue(t *testing.T) {
	number, nothing := value("1.5"), value("")
	for want, row := range map[string]predictedRow{
		`{"request_id":"r1","row":0,"version":2,"route":"champion","value":1.5}`:    {Request: "r1", Version: 2, Route: "champion", Value: &number},
		`{"request_id":"r1","row":1,"version":2,"route":"champion","value":null}`:   {Request: "r1", Row: 1, Version: 2, Route: "champion", Value: &nothing},
		`{"request_id":"r1","row":2,"version":2,"route":"champion","label":"true"}`: {Request: "r1", Row: 2, Version: 2, Route: "champion", Label: "true"},
	} {
		if got, err := json.Marshal(row); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestShowWhy(t *testing.T) {
	node := func(id string, d events.Data, summary string) *api.WhyNode {
		return &api.WhyNode{ID: id, Type: d.EventType(), Time: ago(time.Minute), Summary: summary}
	}
	upload := node("1", events.ObjectUploaded{}, "flights/1.csv uploaded")
	drift := node("2", events.DriftDetected{}, "drift in 5,000 rows against v1")
	start := node("3", events.TrainingStarted{}, "run r2 started")
	again := node("1", events.ObjectUploaded{}, strings.Repeat("flights/1.csv ", 10))
	again.Repeated = true
	start.Causes = []*api.WhyNode{drift, upload}
	drift.Causes = []*api.WhyNode{again}
	approved := node("5", events.ModelApproved{}, "")
	approved.Subject = "flights/model/v2"
	approved.Verdicts = []events.Verdict{{Gate: "roc_auc >= 0.62", Value: 0.6567, Passed: true, Reason: "at least 0.62 is required"}}
	approved.Effects = []*api.WhyNode{node("6", events.ModelPromoted{}, "v2 is the champion"), node("7", events.EventHandled{}, "drift-check did nothing")}
	w := api.Why{Event: *node("4", events.TrainingCompleted{}, "run r2 has a model"), Truncated: true, Lineage: &api.Lineage{
		Run: "r2", Config: digest("c"), Commit: "abc", Code: digest("d"), Params: map[string]any{"trees": 80, "rate": 0.05}, Snapshot: digest("e"),
		Partitions: []api.LineagePartition{{Object: "flights/1.csv", Digest: digest("f"), Rows: 26398, Time: ago(time.Hour)}},
	}}
	w.Event.Causes = []*api.WhyNode{start}
	w.Event.Effects = []*api.WhyNode{approved}
	shown(t, "why.txt", func(a *app) { ShowWhy(a.out, w) })
}

func TestParseTime(t *testing.T) {
	at := time.Date(2026, 3, 4, 15, 0, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"2h": "2026-03-04T12:00:00Z", "90s": "2026-03-04T13:58:30Z", "2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z",
		"2026-01-31": "2026-01-30T23:00:00Z", "2026-01-31 12:30": "2026-01-31T11:30:00Z", "14:05": "2026-03-04T13:05:00Z", "14:05:09": "2026-03-04T13:05:09Z",
	} {
		got, err := parseTime("--at", text, at)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is %s, %v; want %s", text, got.UTC(), err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "25:00", "2026-13-01"} {
		if got, err := parseTime("--at", text, at); err == nil {
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
