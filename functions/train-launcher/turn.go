package trainlauncher

import (
	"sync"
	"time"

	"millrace.dev/shared/state"
)

// turns lets one decision of a pipeline at a time make a run. The state tells
// of a run only when its training.started is committed, which is after the
// handler: of several events that are handled at once, each would find that
// nothing is under way. (What a turn is not held across is a crash, or another
// process: then two runs of two keys may be under way, which is a waste and no
// harm.)
type turns struct {
	mu   sync.Mutex
	held map[string]turn // by pipeline
}

type turn struct {
	run   string
	until time.Time
}

// How long a turn is held while a cut is made, and while its run is on its way
// into the log.
const (
	turnToCut    = cutTimeout
	turnToCommit = time.Minute
)

// take takes the turn for the run. It gives the other run that has it, if one has.
func (t *turns) take(p *state.Pipeline, run string) (other string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.held[p.Name]; ok && h.run != run && p.Run(h.run) == nil && time.Now().Before(h.until) {
		return h.run
	}
	if t.held == nil {
		t.held = map[string]turn{}
	}
	t.held[p.Name] = turn{run, time.Now().Add(turnToCut)}
	return ""
}

// announced says that the run is on its way into the log.
func (t *turns) announced(pipeline, run string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[pipeline] = turn{run, time.Now().Add(turnToCommit)}
}

// give gives the turn back, since the run does not come.
func (t *turns) give(pipeline, run string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[pipeline].run == run {
		delete(t.held, pipeline)
	}
}
