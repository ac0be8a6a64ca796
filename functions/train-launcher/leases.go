package trainlauncher

import (
	"sync"
	"time"

	"millrace.dev/shared/state"
)

// leases allows one run per pipeline to be started at a time. The state shows a
// run only once its training.started is committed, which is after the handler:
// of several events handled at once, each would find that nothing is under way.
// A lease does not survive a restart and is local to the process: two runs may
// then overlap, which wastes work but is safe.
type leases struct {
	mu   sync.Mutex
	held map[string]lease // by pipeline
}

type lease struct {
	run   string
	until time.Time
}

// How long a lease is held while data is split, and while its run is on its way
// into the log.
const (
	leaseToSplit  = splitTimeout
	leaseToCommit = time.Minute
)

// acquire takes the pipeline's lease for the run. It returns the other run that
// holds it, empty if none does.
func (l *leases) acquire(p *state.Pipeline, run string) (other string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[p.Name]; ok && h.run != run && p.Run(h.run) == nil && time.Now().Before(h.until) {
		return h.run
	}
	if l.held == nil {
		l.held = map[string]lease{}
	}
	l.held[p.Name] = lease{run, time.Now().Add(leaseToSplit)}
	return ""
}

// extend holds the lease until the run, which is emitted, is in the log.
func (l *leases) extend(pipeline, run string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[pipeline] = lease{run, time.Now().Add(leaseToCommit)}
}

// release gives the lease up, since the run is not started.
func (l *leases) release(pipeline, run string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[pipeline].run == run {
		delete(l.held, pipeline)
	}
}
