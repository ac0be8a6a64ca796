package events

// Announced begins the reason of a record that stands beside what the handling
// emitted, because that stands elsewhere or carries a guard.
const Announced = "announced "

// EventHandled is the record of a handling that emitted nothing, with the
// reason. The runtime writes it; it is delivered to nobody.
type EventHandled struct {
	// Event is the id of the event that was handled, Type its type.
	Event    string `json:"event"`
	Type     string `json:"type"`
	Function string `json:"function"`
	Reason   string `json:"reason"`
}

func (EventHandled) EventType() string      { return "dev.millrace.event.handled.v1" }
func (d EventHandled) EventSubject() string { return "event/" + d.Event }
func (d EventHandled) Validate() error {
	var m mistakes
	m.required("event", d.Event)
	m.required("function", d.Function)
	return m.err()
}

// EventDeferred notes that a function wants an event again later. The push
// receiver writes it for the relay to keep; it is no record of a handling.
type EventDeferred struct {
	Event    string `json:"event"`
	Type     string `json:"type"`
	Function string `json:"function"`
	// Until is when, RFC 3339.
	Until  string `json:"until"`
	Reason string `json:"reason"`
}

func (EventDeferred) EventType() string      { return "dev.millrace.event.deferred.v1" }
func (d EventDeferred) EventSubject() string { return "event/" + d.Event }

// Origin keeps the note apart from the handling's record.
func (d EventDeferred) Origin() (function, cause string) {
	return d.Function, Cause("deferred", d.Event, d.Function, d.Until)
}
func (d EventDeferred) Validate() error {
	var m mistakes
	m.required("event", d.Event)
	m.required("function", d.Function)
	m.required("until", d.Until)
	return m.err()
}

// DeadLetterRecorded says that a function gave an event up, and why. The
// runtime writes it as the handling's record.
type DeadLetterRecorded struct {
	// Event is the whole event, structured.
	Event    Envelope `json:"event"`
	Function string   `json:"function"`
	Attempts int      `json:"attempts"`
	// First and Last are the times of the first and the last attempt, RFC 3339.
	First  string `json:"first"`
	Last   string `json:"last"`
	Reason string `json:"reason"`
	// Rejected says that the function refused the event for good, rather than
	// that its attempts were spent.
	Rejected bool `json:"rejected,omitempty"`
}

func (DeadLetterRecorded) EventType() string      { return "dev.millrace.deadletter.recorded.v1" }
func (d DeadLetterRecorded) EventSubject() string { return "event/" + d.Event.ID }
func (d DeadLetterRecorded) Attributes() map[string]string {
	return map[string]string{"function": d.Function}
}
func (d DeadLetterRecorded) Validate() error {
	var m mistakes
	m.required("event.id", d.Event.ID)
	m.required("function", d.Function)
	m.required("reason", d.Reason)
	return m.err()
}

// Attributes of an event that was sent again because it had become a dead
// letter. Such an event has the type and the data of the one that failed; it
// tells no new fact, it asks one function to try again.
const (
	// AttributeTarget names the only function that handles the event.
	AttributeTarget = "target"
	// AttributeRetryOf is the id of the DeadLetterRecorded.
	AttributeRetryOf = "retryof"
	// AttributeOriginal is the id of the event that failed.
	AttributeOriginal = "original"
)

// DeadLetterClosed says that a dead letter was sent again, as a new event, or
// dropped. The gateway sends it for a person.
type DeadLetterClosed struct {
	// DeadLetter is the id of the DeadLetterRecorded.
	DeadLetter string `json:"deadLetter"`
	// Action is retried or dropped; Retry is the id of the new event.
	Action string `json:"action"`
	Retry  string `json:"retry,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (DeadLetterClosed) EventType() string      { return "dev.millrace.deadletter.closed.v1" }
func (d DeadLetterClosed) EventSubject() string { return "event/" + d.DeadLetter }

// Origin makes a dead letter closed once.
func (d DeadLetterClosed) Origin() (function, cause string) {
	return "gateway", Cause("deadletter-closed", d.DeadLetter)
}
func (d DeadLetterClosed) Validate() error {
	var m mistakes
	m.required("deadLetter", d.DeadLetter)
	m.add(d.Action == "retried" || d.Action == "dropped", "action %q is not retried or dropped", d.Action)
	return m.err()
}
