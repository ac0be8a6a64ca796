package checker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Event is one message of the log.
type Event struct {
	Sequence uint64
	Time     time.Time
	// Subject is the message's, and the six words after it are its parts:
	// events.<pipeline>.<noun>.<past>.<function>.<cause>.<n>.
	Subject                               string
	Pipeline, Noun, Past, Function, Cause string
	N                                     int
	// ID, Source, Type and Attributes are the CloudEvent's, the attributes
	// without their prefix and with all of them.
	ID, Source, Type string
	Attributes       map[string]string
	// Index of Size is the event's place in its commit, from 1.
	Index, Size int
	Data        json.RawMessage
}

// Kind is the noun and the past: "rollout.started".
func (e Event) Kind() string { return e.Noun + "." + e.Past }

// Commit is the sequence of the first event of the same commit.
func (e Event) Commit() uint64 { return e.Sequence - uint64(e.Index-1) }

// Causation is the id of the event that led to this one.
func (e Event) Causation() string { return e.Attributes["causationid"] }

// causes returns the cause in the subjects of events that follow from e: 128 bits of SHA-256 over the parts with their lengths.
func (e Event) causes() string {
	h := sha256.New()
	for _, p := range []string{"event", e.Source, e.ID, e.Type} {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

const prefix = "dev.millrace."

// decode reads a message of the log.
func decode(m *nats.Msg, sequence uint64, at time.Time) (Event, error) {
	e := Event{Sequence: sequence, Time: at, Subject: m.Subject, Attributes: map[string]string{}, Index: 1, Size: 1, Data: m.Data}
	t := strings.Split(m.Subject, ".")
	if len(t) != 7 {
		return e, fmt.Errorf("the subject %s has %d words, not 7", m.Subject, len(t))
	}
	e.Pipeline, e.Noun, e.Past, e.Function, e.Cause = t[1], t[2], t[3], t[4], t[5]
	var err error
	if e.N, err = strconv.Atoi(t[6]); err != nil {
		return e, fmt.Errorf("the subject %s does not end with a number", m.Subject)
	}
	for name, values := range m.Header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok || len(values) == 0 {
			continue
		}
		value, err := url.PathUnescape(values[0])
		if err != nil {
			return e, fmt.Errorf("attribute %s: %w", attribute, err)
		}
		e.Attributes[attribute] = value
	}
	e.ID, e.Source, e.Type = e.Attributes["id"], e.Attributes["source"], e.Attributes["type"]
	if place := m.Header.Get("Millrace-Commit"); place != "" {
		if _, err := fmt.Sscanf(place, "%d/%d", &e.Index, &e.Size); err != nil {
			return e, fmt.Errorf("the place %q in its commit is invalid", place)
		}
	}
	return e, nil
}

// fromJSON reads an event of the API. It has no subject, and so no cause and no
// place in its commit; the function is that of its source.
func fromJSON(b []byte) (Event, error) {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return Event{}, err
	}
	var body struct{ Data json.RawMessage }
	if err := json.Unmarshal(b, &body); err != nil {
		return Event{}, err
	}
	e := Event{Attributes: map[string]string{}, Data: body.Data, Index: 1, Size: 1}
	for name, v := range m {
		if name != "data" {
			e.Attributes[name] = fmt.Sprint(v)
		}
	}
	e.ID, e.Source, e.Type, e.Pipeline = e.Attributes["id"], e.Attributes["source"], e.Attributes["type"], e.Attributes["pipeline"]
	e.Function, _ = strings.CutPrefix(e.Source, "/millrace/")
	if w := strings.Split(strings.TrimPrefix(e.Type, prefix), "."); len(w) == 3 && strings.HasPrefix(e.Type, prefix) {
		e.Noun, e.Past = w[0], w[1]
	}
	var err error
	e.Sequence, err = strconv.ParseUint(e.Attributes["sequence"], 10, 64)
	delete(e.Attributes, "sequence")
	return e, err
}
