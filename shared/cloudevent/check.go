package cloudevent

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"millrace.dev/events"
)

// MaxDepth is how deep the data of an event from outside may be nested. An
// event is wrapped when it is listed, exported or becomes a dead letter, and
// encoding/json reads 10,000 levels at most.
const MaxDepth = 1000

// Check reports every reason why an event from outside cannot be taken into the
// event log: what is accepted can be stored, read, listed, exported and
// imported again without a change. Events that are in the log already are not
// held against it.
func Check(e events.Envelope) error {
	var errs []error
	attrs := map[string]string{"id": e.ID, "source": e.Source, "type": e.Type, "subject": e.Subject}
	maps.Copy(attrs, e.Extensions())
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		if i := strings.IndexFunc(attrs[name], forbidden); i >= 0 || !utf8.ValidString(attrs[name]) {
			errs = append(errs, fmt.Errorf("attribute %s has a character that CloudEvents does not allow, at byte %d: no control characters, valid UTF-8 only", name, max(i, 0)))
		}
	}
	if err := checkData(e.Data); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, roundTrip(e))
	}
	return errors.Join(errs...)
}

// forbidden are the characters that CloudEvents 1.0 does not allow in a string:
// control characters, surrogates and noncharacters.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE
}

func checkData(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if !utf8.Valid(data) {
		return errors.New("the data is not UTF-8")
	}
	if !json.Valid(data) { // it reads no deeper than 10,000 levels
		return errors.New("the data is not JSON, or nested too deep")
	}
	if d := depth(data); d > MaxDepth {
		return fmt.Errorf("the data is nested %d deep; at most %d levels are taken", d, MaxDepth)
	}
	return nil
}

// depth is how deep valid JSON is nested.
func depth(data []byte) int {
	deepest, now, text := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// roundTrip checks that the attributes come back from JSON as they were.
func roundTrip(e events.Envelope) error {
	h := e.Header
	h.Time, h.Sequence = h.Time.UTC(), 0
	line, err := json.Marshal(events.Envelope{Header: h})
	if err != nil {
		return fmt.Errorf("the event cannot be written as JSON: %w", err)
	}
	var back events.Envelope
	if err := back.UnmarshalJSON(line); err != nil {
		return fmt.Errorf("the event cannot be read again: %w", err)
	}
	if !Same(back, events.Envelope{Header: h}) {
		return errors.New("the event changes when it is written and read again")
	}
	return nil
}

// Same reports whether two events have the same attributes, and the same data
// apart from how its JSON is written. Their places in a log may differ.
func Same(a, b events.Envelope) bool {
	return a.ID == b.ID && a.Source == b.Source && a.Type == b.Type && a.Subject == b.Subject && a.Time.Equal(b.Time) &&
		maps.Equal(a.Extensions(), b.Extensions()) && canonical(a.Data) == canonical(b.Data)
}

// canonical is JSON without blanks, with strings in one spelling.
func canonical(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(data)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(data)
	}
	return string(out)
}
