package function

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"millrace.dev/shared/eventlog"
)

// Failing is an event that a function has failed to handle and tries again.
type Failing struct {
	Function string `json:"function"`
	Pipeline string `json:"pipeline"`
	// Event is the id, Type and Subject say what it is about.
	Event   string `json:"event"`
	Type    string `json:"type"`
	Subject string `json:"subject,omitempty"`
	// Cause identifies the handling.
	Cause string `json:"cause"`
	// Attempt is how many have failed, Attempts after how many it is given up.
	Attempt  int `json:"attempt"`
	Attempts int `json:"attempts"`
	// First is when it was tried first, Next when it is tried again.
	First time.Time `json:"first"`
	Next  time.Time `json:"next"`
	// Reason is what the newest attempt failed of.
	Reason string `json:"reason"`
}

// maxReason bounds a Failing.Reason in bytes, maxFailing how many are listed.
const (
	maxReason  = 2000
	maxFailing = 1000
)

func cut(text string) string {
	if len(text) > maxReason {
		return text[:maxReason] + "..."
	}
	return text
}

// AllFailing returns the events that any function of the log fails to handle
// and tries again, the longest first, at most 1,000. One is listed from its first
// failure on until it was handled or given up.
func AllFailing(ctx context.Context, log *eventlog.Log) ([]Failing, error) {
	entries, err := log.Entries(ctx, eventlog.Attempts, maxFailing)
	if err != nil {
		return nil, fmt.Errorf("list the events that are tried again: %w", err)
	}
	var all []Failing
	for _, value := range entries {
		var at attempt
		if json.Unmarshal(value, &at) != nil || at.Failing == nil {
			continue // of another version, or it has not failed
		}
		f := *at.Failing
		if f.Next.Before(time.Now()) {
			// Under way, or it has been handled and the note of it was lost.
			record, err := log.Record(ctx, f.Pipeline, f.Function, f.Cause)
			if err != nil {
				return nil, err
			}
			if len(record) > 0 {
				continue
			}
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(x, y Failing) int { return cmp.Or(x.First.Compare(y.First), cmp.Compare(x.Event, y.Event)) })
	return all, nil
}
