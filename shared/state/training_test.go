package state

import (
	"testing"

	"millrace.dev/events"
)

// A run settles the wish that it was started for, and uses up the rows of the
// snapshot that it is on; a run on old data does neither.
func TestRunSettlesItsWish(t *testing.T) {
	for _, c := range []struct {
		name     string
		run      events.TrainingStarted
		waits    bool
		newRows  int64
		newParts int
	}{
		{"on the newest data, for the wish", events.TrainingStarted{Snapshot: "new", Causes: []string{"other", "drift-1", "drift-2"}}, false, 0, 0},
		{"on the newest data, for part of it", events.TrainingStarted{Snapshot: "new", Causes: []string{"drift-1"}}, true, 0, 0},
		{"on old data", events.TrainingStarted{Snapshot: "old"}, true, 100, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New("flights")
			p.Wish = &Wish{Trigger: "drift", Because: []string{"drift-1", "drift-2"}}
			p.Dataset = Dataset{Snapshot: "new", NewRows: 100, NewPartitions: 2}
			if !p.runStarted(events.Header{}, c.run) {
				t.Fatal("the run changes nothing")
			}
			if (p.Wish != nil) != c.waits || p.Dataset.NewRows != c.newRows || p.Dataset.NewPartitions != c.newParts {
				t.Errorf("wish %v, %d new rows in %d partitions; want it to wait: %v, %d rows in %d", p.Wish, p.Dataset.NewRows, p.Dataset.NewPartitions, c.waits, c.newRows, c.newParts)
			}
		})
	}
}
