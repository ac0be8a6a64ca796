package driftcheck

import (
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/state"
)

// TestDecideAfterTheClock: the cooldown counts forward only. Drift that was reported
// at a time which the clock was set back over keeps none quiet.
func TestDecideAfterTheClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		detected time.Time
		told     bool
	}{
		"Never":          {time.Time{}, true},
		"WithinCooldown": {now.Add(-59 * time.Minute), false},
		"After":          {now.Add(-time.Hour), true},
		"InTheFuture":    {now.Add(time.Minute), true},
	} {
		t.Run(name, func(t *testing.T) {
			p := state.New("flights")
			p.Config = &config.Pipeline{Spec: config.Spec{Monitor: config.Monitor{Cooldown: config.Duration(time.Hour), OnDrift: config.OnDriftNotify}}}
			p.Drift.Detected = tc.detected
			out := decide(p, now, events.DriftCheck{Columns: []events.ColumnDrift{{Column: "temp", Drifted: true, Reason: "it moved"}}}, 0)
			if _, told := out[0].(events.DriftDetected); len(out) != 1 || told != tc.told {
				t.Errorf("%+v", out)
			}
		})
	}
}
