package eventlog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"millrace.dev/events"
)

// root is the first token of every subject of the log.
const root = "events"

// idSpace is the UUID namespace of event ids.
var idSpace = uuid.MustParse("6f0b7f3e-6a54-5d0c-9a57-6d696c6c7261")

// place is an event's position in the log.
type place struct {
	pipeline, noun, past, function, cause string
	n                                     int
}

func (p place) subject() string {
	return strings.Join([]string{root, p.pipeline, p.noun, p.past, p.function, p.cause, strconv.Itoa(p.n)}, ".")
}

// record matches every event of the same handling or origin.
func (p place) record() string {
	return strings.Join([]string{root, p.pipeline, "*", "*", p.function, p.cause, "*"}, ".")
}

// id returns the UUIDv5 over what identifies the event.
func (p place) id(eventType, subject string) string {
	return uuid.NewSHA1(idSpace, []byte(strings.Join([]string{p.cause, p.function, eventType, subject, strconv.Itoa(p.n)}, "\n"))).String()
}

// Handling identifies what emitted an event: a function's handling of the event that the cause is derived from
// (events.CauseOf), or an origin.
type Handling struct{ Pipeline, Function, Cause string }

// HandlingAt parses the handling in an event's subject.
func HandlingAt(subject string) (Handling, error) {
	p, err := placeOf(subject)
	return Handling{p.pipeline, p.function, p.cause}, err
}

func guardText(pipeline, noun string) string { return root + "." + pipeline + "." + noun + ".>" }

// NounAt returns the noun in a record's subject, also when the rest of the subject is not valid; empty if the subject has no noun.
func NounAt(subject string) string {
	if t := strings.SplitN(subject, ".", 4); len(t) > 2 {
		return t[2]
	}
	return ""
}

// pipelineFilter matches a pipeline's events, or all events for "".
func pipelineFilter(pipeline string) string {
	if pipeline == "" {
		return root + ".>"
	}
	return root + "." + pipeline + ".>"
}

// TypeFilter returns the subject filter of a type's events in every pipeline.
func TypeFilter(eventType string) string {
	noun, past := events.Words(eventType)
	return root + ".*." + noun + "." + past + ".>"
}

// tokenMistake checks a pipeline, function or cause as a token of a subject.
func tokenMistake(what, s string) error {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return fmt.Errorf("%s %q is not a word of at most 64 lower-case letters, digits, - and _", what, s)
	}
	return nil
}
