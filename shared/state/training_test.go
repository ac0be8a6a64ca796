package state

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace.dev/events"
)

// A run settles the pending training that it was started for, and uses up the
// rows of the snapshot that it is on; a run on old data does neither.
func TestRunSettlesPendingTraining(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		run      events.TrainingStarted
		waits    bool
		newRows  int64
		newParts int
	}{
		{"on the newest data, for the pending training", events.TrainingStarted{Snapshot: "new", Causes: []string{"other", "drift-1", "drift-2"}}, false, 0, 0},
		{"on the newest data, for part of it", events.TrainingStarted{Snapshot: "new", Causes: []string{"drift-1"}}, true, 0, 0},
		{"on old data", events.TrainingStarted{Snapshot: "old"}, true, 100, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New("flights")
			p.PendingTraining = &PendingTraining{Trigger: "drift", Because: []string{"drift-1", "drift-2"}}
			p.Dataset = Dataset{Snapshot: "new", NewRows: 100, NewPartitions: 2}
			if !p.runStarted(events.Header{}, c.run) {
				t.Fatal("the run changes nothing")
			}
			if (p.PendingTraining != nil) != c.waits || p.Dataset.NewRows != c.newRows || p.Dataset.NewPartitions != c.newParts {
				t.Errorf("pending %v, %d new rows in %d partitions; want it to wait: %v, %d rows in %d", p.PendingTraining, p.Dataset.NewRows, p.Dataset.NewPartitions, c.waits, c.newRows, c.newParts)
			}
		})
	}
}

// Each trigger rules over those before it, in whatever order they come.
func TestStrongerTrigger(t *testing.T) {
	t.Parallel()
	order := []string{"upload", "schedule", "rejection", "drift", "request"}
	for i, weak := range order {
		for _, strong := range order[i:] {
			if a, b := strongerTrigger(weak, strong), strongerTrigger(strong, weak); a != strong || b != strong {
				t.Errorf("of %s and %s, %s and %s rule; want %s", weak, strong, a, b, strong)
			}
		}
		if got := strongerTrigger("of a newer version", weak); got != weak {
			t.Errorf("an unknown trigger and %s: %s rules", weak, got)
		}
	}
}

// What waits is what all that was skipped asked for together.
func TestPendingTrainingAddsUp(t *testing.T) {
	t.Parallel()
	noon := time.Date(2013, 4, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) string {
		return noon.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339Nano)
	}
	skipped := func(trigger, until string, causes ...string) events.TrainingSkipped {
		return events.TrainingSkipped{Trigger: trigger, Reason: "after " + causes[len(causes)-1], Waits: true, Until: until, Causes: causes}
	}
	pending := func(trigger, until string, causes ...string) *PendingTraining {
		return &PendingTraining{Trigger: trigger, Reason: "after " + causes[len(causes)-1], Because: causes, Since: noon, Until: parseTime(until)}
	}
	for _, c := range []struct {
		name string
		in   []events.TrainingSkipped
		want *PendingTraining
	}{
		{"one", []events.TrainingSkipped{skipped("upload", at(9), "u")}, pending("upload", at(9), "u")},
		{"one that does not wait", []events.TrainingSkipped{{Trigger: "upload", Causes: []string{"u"}}}, nil},
		{
			"drift behind an upload", []events.TrainingSkipped{skipped("upload", at(9), "u"), skipped("drift", at(1), "d")},
			pending("drift", at(1), "u", "d"),
		},
		{
			"an upload behind drift", []events.TrainingSkipped{skipped("drift", at(1), "d"), skipped("upload", at(9), "u")},
			pending("drift", at(1), "d", "u"),
		},
		{
			"drift that waits for data, decided beside an upload that waits for a pause",
			[]events.TrainingSkipped{skipped("upload", at(9), "u"), skipped("drift", "", "d")},
			pending("drift", at(9), "u", "d"),
		},
		{
			"the same, the other way round", []events.TrainingSkipped{skipped("drift", "", "d"), skipped("upload", at(9), "u")},
			pending("drift", at(9), "d", "u"),
		},
		{
			"a later upload begins the pause again", []events.TrainingSkipped{skipped("upload", at(5), "u"), skipped("upload", at(9), "v")},
			pending("upload", at(9), "u", "v"),
		},
		{
			"a decision that knows what waits sets its time", []events.TrainingSkipped{skipped("drift", at(1), "d"), skipped("drift", "", "d")},
			pending("drift", "", "d"),
		},
		{
			"and one that knows more than that", []events.TrainingSkipped{skipped("drift", at(1), "d"), skipped("drift", at(9), "d", "e")},
			pending("drift", at(9), "d", "e"),
		},
		{"a request over drift", []events.TrainingSkipped{skipped("drift", "", "d"), skipped("request", "", "r")}, pending("request", "", "d", "r")},
		{"drift under a request", []events.TrainingSkipped{skipped("request", "", "r"), skipped("drift", "", "d")}, pending("request", "", "r", "d")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New("flights")
			for i, d := range c.in {
				before := p.PendingTraining
				var frozen PendingTraining
				if before != nil {
					frozen = *before
					frozen.Because = slices.Clone(before.Because)
				}
				if p.skipped(events.Header{Time: noon.Add(time.Duration(i) * time.Second)}, d) != d.Waits {
					t.Errorf("event %d does not say whether it changed the state", i)
				}
				if before != nil && !cmp.Equal(*before, frozen) {
					t.Error("the state before was changed")
				}
			}
			if diff := cmp.Diff(c.want, p.PendingTraining); diff != "" {
				t.Errorf("what waits differs (-want +got):\n%s", diff)
			}
		})
	}
}

// The trigger and the causes of what waits do not depend on the order.
func TestPendingTrainingInAnyOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		in := make([]events.TrainingSkipped, 1+r.IntN(5))
		for i := range in {
			in[i] = events.TrainingSkipped{Trigger: triggers[r.IntN(len(triggers))], Waits: true, Causes: []string{string(rune('a' + r.IntN(4)))}}
		}
		fold := func() (string, []string) {
			p := New("flights")
			for _, d := range in {
				p.skipped(events.Header{}, d)
			}
			slices.Sort(p.PendingTraining.Because)
			return p.PendingTraining.Trigger, p.PendingTraining.Because
		}
		trigger, causes := fold()
		r.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		if got, also := fold(); got != trigger || !slices.Equal(also, causes) {
			t.Fatalf("%v: %s %v in one order, %s %v in another", in, trigger, causes, got, also)
		}
	}
}
