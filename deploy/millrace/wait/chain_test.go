package wait_test

import (
	"encoding/json"
	"strings"
	"testing"

	"millrace.dev/deploy/millrace/wait"
	"millrace.dev/events"
)

// said is an event of a stream: its id, what led to it, and its payload.
type said struct {
	id, because string
	data        events.Data
}

func envelope(t *testing.T, s said) events.Envelope {
	t.Helper()
	b, err := json.Marshal(s.data)
	if err != nil {
		t.Fatal(err)
	}
	return events.Envelope{Header: events.Header{ID: s.id, Type: s.data.EventType(), Pipeline: "flights", CausationID: s.because}, Data: b}
}

func object(key string) events.Object { return events.Object{Key: key} }

var (
	uploaded  = said{"up", "", events.ObjectUploaded{Object: object("flights/1.csv")}}
	ingested  = said{"in", "up", events.PartitionIngested{Object: object("flights/1.csv")}}
	validated = said{"ok", "in", events.DatasetValidated{Snapshot: "s1"}}
	started   = said{"run", "ok", events.TrainingStarted{Run: "r1"}}
	completed = said{"end", "run", events.TrainingCompleted{Run: "r1"}}
	approved  = said{"yes", "end", events.ModelApproved{Evaluation: events.Evaluation{Version: 2, Run: "r1", Reason: "good"}}}
	promoted  = said{"top", "batch", events.ModelPromoted{Version: 2, Previous: 1, Reason: "enough"}}
)

var again = said{"up", "", events.ReingestRequested{}}

// step is a step of a reingest of two uploads, after another event.
func step(id, because, reingest string, left, rejected int) said {
	return said{id, because, events.ReingestProgressed{Reingest: reingest, Files: 2, Done: 2 - left, Left: left, Rejected: rejected}}
}

func handled(id, of, function, reason string) said {
	return said{id, of, events.EventHandled{Event: of, Function: function, Reason: reason}}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	failed := said{"no", "run", events.TrainingFailed{Run: "r1", Reason: "exit 1", Hint: "look", LogTail: "boom"}}
	rejected := said{"bad", "end", events.ModelRejected{Evaluation: events.Evaluation{Version: 2, Run: "r1", Reason: "worse", Verdicts: []events.Verdict{{Gate: "g"}}}}}
	canary := said{"roll", "yes", events.RolloutStarted{Version: 2, Strategy: "canary"}}
	for _, c := range []struct {
		name   string
		until  wait.Until
		stream []said
		end    wait.End // "" while it continues
		reason string   // a part of it
		open   bool     // it is not settled
	}{
		{name: "under way", stream: []said{uploaded, ingested, validated, started}},
		{name: "others' events", stream: []said{uploaded, {"x", "y", events.ModelPromoted{Version: 9}}, {"z", "y", events.TrainingFailed{Run: "r9", Reason: "no"}}}},
		{
			name:   "unreadable",
			stream: []said{uploaded, {"rej", "up", events.PartitionRejected{Object: object("flights/1.csv"), Stage: "ingest", Problems: []events.Problem{{Check: "readable", Reason: "it is empty"}}}}},
			end:    wait.Rejected, reason: "flights/1.csv was rejected: it is empty",
		},
		{
			name: "broken contract",
			stream: []said{uploaded, ingested, {"rej", "in", events.PartitionRejected{
				Object: object("flights/1.csv"), Stage: "validate", Problems: []events.Problem{{Column: "hour", Reason: "31"}, {Reason: "twice"}},
			}}},
			end: wait.Rejected, reason: "for 2 problems; the first: hour: 31",
		},
		{name: "not enough rows", stream: []said{uploaded, ingested, validated, {"skip", "ok", events.TrainingSkipped{Reason: "5 of 10 rows"}}}, end: wait.Done, reason: "5 of 10 rows"},
		{name: "waits for a pause", stream: []said{uploaded, ingested, validated, {"skip", "ok", events.TrainingSkipped{Reason: "later", Waits: true, Until: "2026-01-01T00:00:00Z"}}}},
		{
			name:   "waits for a pause, then trains",
			stream: []said{uploaded, ingested, validated, {"skip", "ok", events.TrainingSkipped{Waits: true, Until: "x"}}, {"run", "tick", events.TrainingStarted{Run: "r1", Causes: []string{"ok"}}}, failed},
			end:    wait.Failed, reason: "exit 1",
		},
		{name: "trained on nothing new", stream: []said{uploaded, ingested, validated, handled("h", "ok", "train-launcher", "train.on is empty")}, end: wait.Done, reason: "train.on is empty", open: true},
		{name: "the record beside an announcement", stream: []said{uploaded, ingested, handled("h", "in", "validate", "announced dataset.validated"), validated}},
		{name: "a handling of another function", stream: []said{uploaded, ingested, validated, started, handled("h", "run", "train-launcher", "run r1 is followed")}},
		{name: "failed", stream: []said{uploaded, ingested, validated, started, failed}, end: wait.Failed, reason: "exit 1"},
		{name: "worse", stream: []said{uploaded, ingested, validated, started, completed, rejected}, end: wait.Rejected, reason: "v2 was rejected: worse"},
		{name: "live at once", stream: []said{uploaded, ingested, validated, started, completed, approved, promoted}, end: wait.Done, reason: "v2 is the champion, after v1"},
		{name: "canary", stream: []said{uploaded, ingested, validated, started, completed, approved, canary, {"step", "batch", events.RolloutAdvanced{Version: 2, Step: 1}}}},
		{name: "canary that goes back", stream: []said{uploaded, ingested, validated, started, completed, approved, canary, {"back", "batch", events.RolloutAborted{Version: 2, Reason: "slow"}}}, end: wait.Rejected, reason: "v2 was rolled back: slow"},
		{name: "a person is asked", stream: []said{uploaded, ingested, validated, started, completed, approved, {"roll", "yes", events.RolloutStarted{Version: 2, Strategy: "direct", Waits: true}}}, end: wait.Done, reason: "waits for approval"},
		{
			name:   "another rollout is under way",
			stream: []said{uploaded, ingested, validated, started, completed, approved, handled("h", "yes", "promote", "v2 waits until the rollout of v1 has ended")},
			end:    wait.Done, reason: "v2 waits until", open: true,
		},
		{
			name:   "dead letter",
			stream: []said{uploaded, {"dead", "up", events.DeadLetterRecorded{Event: events.Envelope{Header: events.Header{ID: "up", Source: "/x", Type: uploaded.data.EventType()}}, Function: "ingest", Attempts: 5, Reason: "disk full"}}},
			end:    wait.GivenUp, reason: "disk full",
		},
		{
			name:   "dead letter beside the chain",
			stream: []said{uploaded, ingested, validated, {"dead", "ok", events.DeadLetterRecorded{Event: events.Envelope{Header: events.Header{ID: "ok", Source: "/x", Type: validated.data.EventType()}}, Function: "drift-check", Reason: "disk full"}}},
		},
		{name: "labels only", stream: []said{uploaded, {"lab", "up", events.LabelsIngested{Object: object("l"), Rows: 3, Matched: 3}}}, end: wait.Done, reason: "3 labels", open: true},
		{name: "labels with their partition", stream: []said{uploaded, {"lab", "up", events.LabelsIngested{Rows: 3, Matched: 3}}, ingested}},
		{name: "judged", until: wait.Judged, stream: []said{{"up", "", events.EvaluationRequested{Version: 2}}, {"yes", "up", approved.data}}, end: wait.Done, reason: "v2 approved"},
		{name: "answered", until: wait.Answered, stream: []said{{"up", "", events.RollbackRequested{}}, {"back", "up", events.RolloutAborted{Version: 2, Reason: "asked"}}}, end: wait.Done, reason: "rollout of v2 aborted", open: true},
		{name: "not done", until: wait.Answered, stream: []said{{"up", "", events.RollbackRequested{}}, handled("h", "up", "promote", "nowhere to go")}, end: wait.GivenUp, reason: "nothing was done: nowhere to go", open: true},
		{name: "reading again", until: wait.Read, stream: []said{again, step("s1", "up", "up", 2, 0), step("s2", "s1", "up", 1, 0)}},
		{name: "read again", until: wait.Read, stream: []said{again, step("s1", "up", "up", 1, 0), step("s2", "s1", "up", 0, 0), started}, end: wait.Done, reason: "2 of 2 uploads read again"},
		{name: "read again, and rejected", until: wait.Read, stream: []said{again, step("s1", "up", "up", 0, 1)}, end: wait.Rejected, reason: "2 of 2 uploads read again, 1 rejected"},
		{name: "stopped by somebody", until: wait.Read, stream: []said{again, step("s1", "up", "up", 1, 0), step("s2", "other", "up", 0, 0)}, end: wait.GivenUp, reason: "2 uploads read again"},
		{name: "another reingest", until: wait.Read, stream: []said{again, step("s1", "other", "other", 0, 0)}},
		{name: "nothing to read again", until: wait.Read, stream: []said{again, handled("h", "up", "ingest", "no kept upload")}, end: wait.Done, reason: "no kept upload", open: true},
		{
			name: "what is read again is rejected later", until: wait.Read,
			stream: []said{again, step("s1", "up", "up", 1, 0), {"in", "s1", ingested.data}, {"rej", "in", events.PartitionRejected{Object: object("flights/1.csv"), Problems: []events.Problem{{Reason: "x"}}}}},
		},
		{
			name: "reading again is given up", until: wait.Read,
			stream: []said{again, step("s1", "up", "up", 1, 0), {"dead", "s1", events.DeadLetterRecorded{
				Event: events.Envelope{Header: events.Header{ID: "s1", Source: "/x", Type: events.ReingestProgressed{}.EventType()}}, Function: "ingest", Reason: "disk full",
			}}},
			end: wait.GivenUp, reason: "disk full",
		},
		{
			name: "done though a record stands beside it", until: wait.Answered,
			stream: []said{{"up", "", events.RollbackRequested{}}, handled("h", "up", "promote", "announced rollout.aborted"), {"back", "up", events.RolloutAborted{Version: 2, Reason: "asked"}}},
			end:    wait.Done, reason: "rollout of v2 aborted", open: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := wait.New("up", c.until)
			for _, s := range c.stream {
				chain.See(envelope(t, s))
			}
			o, settled := chain.Ended()
			switch {
			case c.end == "" && o != nil:
				t.Fatalf("ended: %+v", *o)
			case c.end == "":
			case o == nil:
				t.Fatal("did not end")
			case o.End != c.end || !strings.Contains(o.Reason, c.reason) || settled == c.open:
				t.Fatalf("ended as %s (settled %t): %s", o.End, settled, o.Reason)
			}
		})
	}
}

func TestOutcomeSaysWhatAPersonNeeds(t *testing.T) {
	t.Parallel()
	chain := wait.New("up", wait.Served)
	for _, s := range []said{uploaded, ingested, validated, started, {"no", "run", events.TrainingFailed{Run: "r1", Reason: "exit 1", Hint: "look", LogTail: "boom"}}} {
		if !chain.See(envelope(t, s)) {
			t.Errorf("%s does not belong to the chain", s.id)
		}
	}
	if o, _ := chain.Ended(); o.Run != "r1" || o.Hint != "look" || o.Log != "boom" || o.Event != "no" {
		t.Errorf("%+v", *o)
	}
}

func TestWhatDoesNotBelong(t *testing.T) {
	t.Parallel()
	chain := wait.New("up", wait.Served)
	chain.See(envelope(t, uploaded))
	for _, s := range []said{
		{"a", "elsewhere", events.PartitionIngested{}},
		{"b", "", events.TrainingCompleted{Run: "r7"}},
		handled("c", "up", "drift-check", "not mine"),
		{"d", "up", events.EventDeferred{Event: "up", Function: "ingest"}},
	} {
		if chain.See(envelope(t, s)) {
			t.Errorf("%s belongs to the chain", s.id)
		}
	}
}
