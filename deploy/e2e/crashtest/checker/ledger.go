package checker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"millrace.dev/triggers"
)

// Ledger tracks which functions have yet to handle which events, and so whether a
// running Millrace is quiet.
type Ledger struct {
	triggers []triggers.Trigger
	open     map[string]string // function and event -> what it is
	last     uint64
}

// NewLedger returns a ledger of a log from its beginning.
func NewLedger() (*Ledger, error) {
	ts, _, err := triggers.Embedded()
	return &Ledger{triggers: ts, open: map[string]string{}}, err
}

// subscribers returns the functions that an event is delivered to, sorted.
func subscribers(ts []triggers.Trigger, e Event) []string {
	attributes := maps.Clone(e.Attributes)
	attributes["via"] = "log"
	var out []string
	for _, t := range ts {
		if target := attributes["target"]; (target == "" || target == t.Function) && t.Matches(attributes) {
			out = append(out, t.Function)
		}
	}
	slices.Sort(out)
	return out
}

func (l *Ledger) add(e Event) {
	l.last = e.Sequence
	delete(l.open, e.Function+" "+e.Causation())
	for _, f := range subscribers(l.triggers, e) {
		l.open[f+" "+e.ID] = fmt.Sprintf("%s has not handled %s %s of %s (event %d)", f, e.Kind(), e.ID, e.Pipeline, e.Sequence)
	}
	var run struct{ Run string }
	_ = json.Unmarshal(e.Data, &run) // of other events: no run
	switch e.Kind() {
	case "training.started":
		l.open["run "+run.Run] = fmt.Sprintf("run %s of %s has not ended (event %d)", run.Run, e.Pipeline, e.Sequence)
	case "training.completed", "training.failed":
		delete(l.open, "run "+run.Run)
	}
}

// Follow reads the events that are new since the last call, through the API at
// url, and returns the newest sequence.
func (l *Ledger) Follow(ctx context.Context, c *http.Client, url string) (uint64, error) {
	for {
		before := l.last
		if err := l.page(ctx, c, fmt.Sprintf("%s/api/events?from=%d&limit=2000", url, l.last+1)); err != nil {
			return l.last, err
		}
		if l.last == before {
			return l.last, nil
		}
	}
}

func (l *Ledger) page(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	r := bufio.NewReader(resp.Body)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := fromJSON(line)
		if err != nil {
			return fmt.Errorf("an event of the API: %w", err)
		}
		l.add(e)
	}
}

// Open returns what is still open, one sentence each.
func (l *Ledger) Open() []string { return slices.Sorted(maps.Values(l.open)) }
