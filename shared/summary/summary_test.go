package summary_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace.dev/events"
	"millrace.dev/shared/summary"
)

func envelope(t *testing.T, d events.Data) events.Envelope {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return events.Envelope{Header: events.Header{ID: "1", Source: "/millrace/test", Type: d.EventType()}, Data: b}
}

func TestOf(t *testing.T) {
	t.Parallel()
	object := events.Object{Key: "flights/2013-01.parquet"}
	data := events.Ref{URL: "x", Digest: "sha256:" + strings.Repeat("ab", 32), Size: 1_234_567}
	for _, tt := range []struct {
		data events.Data
		want string
	}{
		{events.PipelineConfigured{Digest: "0123456789abcdef", Commit: "fedcba9876543210-dirty"}, "configuration 0123456789ab, commit fedcba9876-dirty"},
		{events.ObjectUploaded{Object: object, Content: data}, "flights/2013-01.parquet uploaded, 1.2 MB"},
		{events.ObjectUploaded{Object: events.Object{Bucket: "s3://landing", Key: "a.csv"}}, "s3://landing/a.csv uploaded"},
		{events.ObjectRemoved{Object: object}, "flights/2013-01.parquet removed"},
		{events.PartitionIngested{Object: object, Rows: 27004, Fields: make([]events.Field, 19)}, "flights/2013-01.parquet read: 27,004 rows in 19 columns"},
		{events.PartitionIngested{Object: object, Rows: 1, Fields: make([]events.Field, 1), Labels: true}, "flights/2013-01.parquet read: 1 row in 1 column, predictions with their labels"},
		{events.PartitionIngested{Object: object, Rows: 99, Fields: make([]events.Field, 2), SetAside: events.SetAside{Rows: 1, Problems: []events.Problem{{Column: "hour", Reason: `"x" is not a whole number.`}}}}, `flights/2013-01.parquet read: 99 rows in 2 columns; 1 row set aside: hour: "x" is not a whole number.`},
		{events.PartitionRejected{Object: object, Problems: []events.Problem{{Column: "hour", Reason: "12 rows are above 23."}, {Reason: "too few rows"}}}, "flights/2013-01.parquet rejected: hour: 12 rows are above 23; and 1 more problem"},
		{events.PartitionRejected{Object: object}, "flights/2013-01.parquet rejected: no reason given"},
		{events.PartitionRemoved{Object: object}, "the rows of flights/2013-01.parquet were removed from the dataset"},
		{events.ReingestRequested{Since: "2026-01-01T00:00:00Z", By: "anna", Reason: "decimal commas"}, "reading kept uploads again since 2026-01-01T00:00:00Z requested by anna: decimal commas"},
		{events.ReingestRequested{Stop: true}, "reading kept uploads again is to stop"},
		{events.ReingestProgressed{Files: 3, Done: 2, Rejected: 1, Left: 1, Last: "a.csv", Note: "rejected: late"}, "2 of 3 uploads read again, 1 rejected; the last: a.csv; rejected: late"},
		{events.LabelsIngested{Object: object, Rows: 100, Matched: 99, Note: "no partition"}, "100 labels of flights/2013-01.parquet, 99 matched predictions; no partition"},
		{events.DatasetValidated{Snapshot: data.Digest, Rows: 81000, Partitions: 3, Added: &events.DatasetPartition{Object: object}}, "snapshot abababababab: 81,000 rows in 3 partitions, flights/2013-01.parquet added"},
		{events.DatasetValidated{Snapshot: data.Digest, Rows: 81000, Partitions: 3, Added: &events.DatasetPartition{Object: object}, Removed: "x", Warnings: []events.Problem{{Reason: "half the rows"}}}, "snapshot abababababab: 81,000 rows in 3 partitions, flights/2013-01.parquet replaced; 1 warning: half the rows"},
		{events.DatasetValidated{Snapshot: data.Digest, Partitions: 1, Rows: 5, Removed: "x", RemovedObject: "a.csv"}, "snapshot abababababab: 5 rows in 1 partition, a.csv removed"},
		{events.TrainingRequested{By: "anna", Reason: "new feature"}, "training requested by anna: new feature"},
		{events.TrainingStarted{Run: "3f9c", TrainRows: 64800, HoldoutRows: 16200, Trigger: "upload", Reason: "new snapshot"}, "run 3f9c started on 64,800 rows, 16,200 held out (upload): new snapshot"},
		{events.TrainingProgressed{Run: "3f9c", Step: 30, Metrics: map[string]float64{"loss": 0.2134567, "auc": 0.7}}, "run 3f9c at step 30: auc 0.7000, loss 0.2135"},
		{events.TrainingCompleted{Run: "3f9c", Seconds: 72.4}, "run 3f9c completed after 1m 12s"},
		{events.TrainingFailed{Run: "3f9c", Reason: "exit code 1", Hint: "see the log"}, "run 3f9c failed: exit code 1; see the log"},
		{events.TrainingSkipped{Reason: "the same run is there"}, "not trained: the same run is there"},
		{events.ModelRegistered{Name: "lgbm.onnx", By: "bob"}, "model lgbm.onnx registered by bob"},
		{events.EvaluationRequested{Version: 2}, "evaluation of v2 requested"},
		{events.ModelApproved{Evaluation: events.Evaluation{Version: 2, Reason: "all passed", Verdicts: []events.Verdict{{Passed: true, Reason: "roc_auc 0.691 >= 0.65."}, {Passed: true, Reason: "not worse than v1 (0.688, margin 0.01)"}}}}, "v2 approved: roc_auc 0.691 >= 0.65; not worse than v1 (0.688, margin 0.01)"},
		{events.ModelApproved{Evaluation: events.Evaluation{Version: 2, Reason: "no gates"}}, "v2 approved: no gates"},
		{events.ModelRejected{Evaluation: events.Evaluation{Version: 3, Verdicts: []events.Verdict{{Passed: true, Reason: "good"}, {Reason: "roc_auc 0.5 < 0.65"}}}}, "v3 rejected: roc_auc 0.5 < 0.65"},
		{events.ModelPromoted{Version: 2, Previous: 1, Reason: "all steps done"}, "v2 is the champion, after v1: all steps done"},
		{events.ModelRolledBack{Version: 2, To: 1, Reason: "errors", By: "anna"}, "v2 rolled back to v1 by anna: errors"},
		{events.PromotionApproved{Version: 2, By: "anna"}, "promotion of v2 approved by anna"},
		{events.RollbackRequested{To: 1, Reason: "odd answers"}, "rollback to v1 requested: odd answers"},
		{events.RolloutStarted{Version: 2, Strategy: "canary", Weights: []events.Weight{{Version: 1, Percent: 90}, {Version: 2, Percent: 10}}, Reason: "approved"}, "rollout of v2 started (canary): v1 90 %, v2 10 %; approved"},
		{events.RolloutAdvanced{Version: 2, Step: 1, Waits: true, Evidence: events.Evidence{Requests: 1500, Errors: 1, P95Ms: 12.5}, Reason: "enough"}, "v2 at step 2 waits for approval; 1,500 requests, 1 failed, p95 12.5 ms; enough"},
		{events.RolloutAborted{Version: 2, Reason: "error_rate 0.1 > 0.01"}, "rollout of v2 aborted: error_rate 0.1 > 0.01"},
		{events.RolloutCompleted{Version: 1, Reason: "the first version"}, "v1 has all traffic: the first version"},
		{events.PredictionsLogged{Rows: 50, Versions: []events.VersionTraffic{{Version: 3}}, Mirrored: true}, "50 rows predicted by v3, from mirrored requests"},
		{events.PredictionsLogged{Rows: 5000, Versions: []events.VersionTraffic{{Version: 1}, {Version: 2, Errors: 3}}, Dropped: 7}, "5,000 rows predicted by v1, v2 (3 failed); 7 rows answered but not logged"},
		{events.DriftChecked{DriftCheck: events.DriftCheck{Version: 1, Rows: 5000, Reason: "all below"}}, "no drift in 5,000 rows against v1: all below"},
		{events.DriftDetected{DriftCheck: events.DriftCheck{Version: 1, Rows: 5000, Reason: "psi of temp 0.9 > 0.2"}, Action: "retrain"}, "drift in 5,000 rows against v1: psi of temp 0.9 > 0.2 (retrain)"},
		{events.ScheduleTicked{Schedule: "nightly", Action: "retrain"}, "schedule nightly is due (retrain)"},
		{events.EventHandled{Function: "promote", Reason: "no rollout"}, "promote did nothing: no rollout"},
		{events.EventHandled{Function: "promote", Reason: "announced rollout.started"}, "promote announced rollout.started"},
		{events.EventDeferred{Function: "ingest", Until: "2026-01-01T00:00:00Z", Reason: "later"}, "ingest waits until 2026-01-01T00:00:00Z: later"},
		{events.DeadLetterRecorded{Function: "ingest", Event: events.Envelope{Header: events.Header{ID: "e", Source: "s", Type: "dev.millrace.object.uploaded.v1"}}, Attempts: 8, Reason: "S3 is gone"}, "ingest gave up on object.uploaded after 8 attempts: S3 is gone"},
		{events.DeadLetterClosed{Action: "retried", By: "anna"}, "dead letter retried by anna"},
	} {
		if got := summary.Of(envelope(t, tt.data)); got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.data.EventType(), got, tt.want)
		}
	}
}

// Every type says more than its name.
func TestOfKnowsEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Catalogue() {
		if typ.Name == (events.DeadLetterRecorded{}).EventType() {
			continue // It holds an event, and has no readable zero value.
		}
		if got := summary.Of(envelope(t, typ.Zero)); got == "" || strings.Contains(got, events.TypePrefix) {
			t.Errorf("%s: %q", typ.Name, got)
		}
	}
}

func TestOfForeign(t *testing.T) {
	t.Parallel()
	e := events.Envelope{Header: events.Header{ID: "1", Source: "/shop", Type: "com.example.order.placed", Subject: "order/7"}}
	if got := summary.Of(e); got != "com.example.order.placed from /shop about order/7" {
		t.Error(got)
	}
}

func FuzzOf(f *testing.F) {
	f.Add("dev.millrace.object.uploaded.v1", `{"key":"a\u001b[2Jb\nc"}`)
	f.Add("dev.millrace.training.failed.v1", `{"reason":"`+strings.Repeat("x", 1000)+`"}`)
	f.Add("dev.millrace.rollout.advanced.v1", `{"weights":[{"version":1,"percent":1e300}]}`)
	f.Add("com.example", `null`)
	f.Fuzz(func(t *testing.T, name, data string) {
		got := summary.Of(events.Envelope{Header: events.Header{ID: "1", Type: name}, Data: json.RawMessage(data)})
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 300 || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("%q", got)
		}
	})
}
