package relay

import (
	"maps"
	"sync"
	"time"
)

// key is a handling of the lane's function: the event's pipeline and cause.
type key struct{ pipeline, cause string }

// name is an event as a deferral names it.
type name struct{ pipeline, id, eventType string }

// waiting is an event that has no record yet.
type waiting struct {
	name name
	// reply is where the newest delivery is answered.
	reply string
	// since is the event's time in the log.
	since time.Time
	// sent counts the sendings that count as attempts; first is when the
	// first was.
	sent  int
	first time.Time
	// failed counts the requests in a row that the broker did not take.
	failed int
	// until is when the function wants the event again; zero for now.
	until time.Time
	// answer is the broker's last refusal for good.
	answer string
}

// table are the events of a lane that are under way. It is safe for
// concurrent use.
type table struct {
	mu     sync.Mutex
	byKey  map[key]*waiting
	byName map[name]*waiting
	// early are times of deferrals that were read before their event came:
	// those in the log when the relay starts.
	early map[name]time.Time
}

// earlyKept bounds them. What is forgotten is sent too early, and deferred again.
const earlyKept = 10_000

func newTable() *table {
	return &table{byKey: map[key]*waiting{}, byName: map[name]*waiting{}, early: map[name]time.Time{}}
}

// delivered enters an event, or finds it with what is known of it, and gives
// how long it has to wait before it is sent.
func (t *table) delivered(k key, n name, reply string, since time.Time) (w waiting, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[k]
	if e == nil {
		e = &waiting{name: n, since: since, until: t.early[n]}
		delete(t.early, n)
		t.byKey[k], t.byName[n] = e, e
	}
	e.reply = reply
	return *e, max(0, time.Until(e.until))
}

// settled takes an event out, and gives where its delivery is answered.
func (t *table) settled(k key) (reply string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[k]
	if e == nil {
		return "", false
	}
	delete(t.byKey, k)
	delete(t.byName, e.name)
	return e.reply, true
}

// update changes an event, unless it was settled meanwhile.
func (t *table) update(k key, change func(*waiting)) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[k]
	if e == nil {
		return false
	}
	change(e)
	return true
}

// postponed notes the time of a deferral, which takes the last sending out of
// the count. It gives where the delivery is answered, if the event is known.
func (t *table) postponed(n name, until time.Time) (reply string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byName[n]
	if e == nil {
		if len(t.early) >= earlyKept {
			maps.DeleteFunc(t.early, func(_ name, at time.Time) bool { return time.Until(at) <= 0 })
		}
		if time.Until(until) > 0 && len(t.early) < earlyKept {
			t.early[n] = until
		}
		return "", false
	}
	e.until, e.sent = until, max(0, e.sent-1)
	return e.reply, true
}

// extent is the number of events under way and the age of the oldest one that
// nobody has deferred.
func (t *table) extent() (n int, oldest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.byKey {
		if time.Until(e.until) <= 0 {
			oldest = max(oldest, time.Since(e.since))
		}
	}
	return len(t.byKey), oldest
}
