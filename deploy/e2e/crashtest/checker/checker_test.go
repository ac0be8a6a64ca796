package checker_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"millrace.dev/deploy/e2e/crashtest/checker"
)

// TestIndependence holds the checker to what makes it worth something.
func TestIndependence(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, judged := range []string{"millrace.dev/shared", "millrace.dev/functions", "millrace.dev/deploy/millrace"} {
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, judged) {
				t.Errorf("it imports %s, which it judges", strings.TrimSpace(line))
			}
		}
	}
}

// told makes a log of events: "kind function cause data", each a commit of its own.
func told(t *testing.T, lines ...string) []checker.Event {
	t.Helper()
	var log []checker.Event
	for i, line := range lines {
		w := strings.SplitN(line, " ", 4)
		noun, past, _ := strings.Cut(w[0], ".")
		e := checker.Event{
			Sequence: uint64(i + 1), Subject: fmt.Sprintf("events.p.%s.%s.%s.%s.1", noun, past, w[1], w[2]), Pipeline: "p", Noun: noun, Past: past,
			Function: w[1], Cause: w[2], N: 1, ID: fmt.Sprint(i + 1), Source: "/millrace/" + w[1], Type: "dev.millrace." + w[0] + ".v1",
			Index: 1, Size: 1, Data: json.RawMessage(w[3]),
		}
		e.Attributes = map[string]string{"pipeline": "p", "id": e.ID, "source": e.Source, "type": e.Type}
		log = append(log, e)
	}
	return log
}

func rules(t *testing.T, log []checker.Event) []string {
	t.Helper()
	r, err := checker.Check(log, checker.Expected{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range r.Violations {
		out = append(out, fmt.Sprintf("%d %s", v.Sequence, v.Rule))
	}
	return out
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		started   = `training.started train-launcher k1 {"run":"r1","key":"k1"}`
		completed = `training.completed train-launcher k2 {"run":"r1"}`
		approved  = `model.approved evaluate c1 {"version":1}`
		rollout   = `rollout.started promote c2 {"version":1,"weights":[{"version":1,"percent":100}]}`
		promoted  = `rollout.completed promote c3 {"version":1,"weights":[{"version":1,"percent":100}]}`
	)
	for _, c := range []struct {
		name string
		log  []string
		want []string
	}{
		{"AsItShouldBe", []string{started, completed, approved, rollout, promoted}, nil},
		{"NeverApproved", []string{started, completed, rollout}, []string{"3 what goes live was approved", "3 what has traffic was approved"}},
		{"TwoEndsOfARun", []string{started, completed, strings.Replace(completed, "k2", "k9", 1)}, []string{"3 a run ends once"}},
		{"TheSameKeyTwice", []string{started, `training.started train-launcher k3 {"run":"r2","key":"k1"}`}, []string{"2 a run key starts once"}},
		{"HandledTwice", []string{`event.handled ingest c1 {"reason":"x"}`, `partition.rejected ingest c1 {}`}, []string{"2 an event is handled once"}},
		{"TheSameSubject", []string{started, started}, []string{"2 no event twice", "2 a run key starts once", "2 an event is handled once"}},
		{"NinetyPerCent", []string{started, completed, approved, strings.Replace(rollout, "100", "90", 1)}, []string{"4 weights sum to 100"}},
		{"TwoRollouts", []string{started, completed, approved, rollout, strings.Replace(rollout, "c2", "c9", 1)}, []string{"5 one rollout at a time"}},
		{"CompletedOutOfTheBlue", []string{started, completed, approved, promoted}, []string{"4 what is completed was under way"}},
		{"ForgottenPartition", []string{
			`dataset.validated validate c1 {"snapshot":"sha256:aa","partitions":2,"rows":3,"removed":"x"}`,
		}, []string{"1 a snapshot is all its partitions"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rules(t, told(t, c.log...)); !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
	t.Run("HalfACommit", func(t *testing.T) {
		log := told(t, started, completed)
		log[1].Size = 2
		if got, want := rules(t, log), []string{"2 a commit is whole"}; !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	})
	t.Run("AHole", func(t *testing.T) {
		log := told(t, started, completed)
		log[1].Sequence = 3
		if got := rules(t, log); !slices.Contains(got, "3 the log has no holes") {
			t.Errorf("found %q", got)
		}
	})
}

// TestSettled lets a log end while something is under way.
func TestSettled(t *testing.T) {
	t.Parallel()
	log := told(t, `object.uploaded gateway c1 {"key":"a"}`, `training.started train-launcher k1 {"run":"r1","key":"k1"}`)
	r, err := checker.Check(log, checker.Expected{Quiet: true, Promised: []string{"1", "lost"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range r.Violations {
		got = append(got, v.Rule)
	}
	want := []string{
		"what was acknowledged is not lost", "every event is handled", "every upload ends in one verdict", "every event is handled", "a run that started ends",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
