package eventlog

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent"
)

// attributePrefix begins the header of a CloudEvents attribute. It is lower case, since NATS keeps the case of header names.
const attributePrefix = "ce-"

// encode writes the event in the binary mode of the CloudEvents NATS binding.
func encode(subject string, e events.Envelope) *nats.Msg {
	h := make(nats.Header, 16)
	set := func(name, value string) {
		if value != "" {
			h[attributePrefix+name] = []string{escape(value)}
		}
	}
	set("specversion", "1.0")
	set("id", e.ID)
	set("source", e.Source)
	set("type", e.Type)
	set("subject", e.Subject)
	if !e.Time.IsZero() {
		set("time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	set("datacontenttype", "application/json")
	for k, v := range e.Extensions() {
		set(k, v)
	}
	return &nats.Msg{Subject: subject, Header: h, Data: e.Data}
}

// Decode reads an event from a NATS message in either mode of the CloudEvents NATS binding. The case of header names does
// not matter.
func Decode(header nats.Header, data []byte) (events.Envelope, error) {
	return cloudevent.FromMessage(header, data)
}

// stored decodes an event of the stream. Its time is the stream's, or the recordedtime of an imported event.
func stored(header nats.Header, data []byte, sequence uint64, at time.Time) (events.Envelope, error) {
	e, err := Decode(header, data)
	if err != nil {
		return e, err
	}
	e.Sequence, e.Time = sequence, at.UTC()
	if v := e.Attributes[events.AttributeRecordedTime]; v != "" {
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			e.Time = t.UTC()
		}
	}
	return e, nil
}

// escape percent-encodes as the CloudEvents bindings do: space, double quote, percent and everything outside printable
// ASCII.
func escape(s string) string {
	plain := true
	for i := range len(s) {
		if mustEscape(s[i]) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if mustEscape(s[i]) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func mustEscape(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }

// indexOf is an event's position in its commit, from 1.
type indexOf struct{ index, size int }

func (i indexOf) String() string { return fmt.Sprintf("%d/%d", i.index, i.size) }

// more returns how many events of the commit follow.
func (i indexOf) more() int { return i.size - i.index }

// commitPlace returns the position that the record's header states. A record without the header is a commit of its own.
// The server stores a commit of several events as one batch: a position outside of a batch, or one that continues after
// the end of its batch, is an error.
func commitPlace(h nats.Header) (indexOf, error) {
	v := h.Get(commitHeader)
	if v == "" {
		return indexOf{1, 1}, nil
	}
	index, size, _ := strings.Cut(v, "/")
	n, err := strconv.Atoi(index)
	of, err2 := strconv.Atoi(size)
	i := indexOf{n, of}
	switch {
	case err != nil || err2 != nil || n < 1 || n > of || of > maxCommitMessages:
		return indexOf{}, fmt.Errorf("its header %s is %.20q, which is not a position in a commit of at most %d events", commitHeader, v, maxCommitMessages)
	case of > 1 && h.Get(jetstreamext.BatchIDHeader) == "",
		n < of && h.Get(jetstreamext.BatchCommitHeader) != "":
		return indexOf{}, fmt.Errorf("its header %s is %q, but the rest of that commit was not stored with it", commitHeader, v)
	}
	return i, nil
}
