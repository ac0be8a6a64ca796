package events

import "time"

// ReingestRequested asks to read the kept uploads again that were read under an
// earlier contract. A person sends it (`millrace reingest`), or a program through
// the gateway.
type ReingestRequested struct {
	// Since leaves out uploads before that time, RFC 3339; empty for all.
	Since  string `json:"since,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Stop ends the reingest that is under way, and begins no other.
	Stop bool `json:"stop,omitempty"`
}

func (ReingestRequested) EventType() string    { return "dev.millrace.reingest.requested.v1" }
func (ReingestRequested) EventSubject() string { return "reingest" }
func (d ReingestRequested) Validate() error {
	var m mistakes
	if d.Since != "" {
		_, err := time.Parse(time.RFC3339Nano, d.Since)
		m.add(err == nil, "since %q is not an RFC 3339 time", d.Since)
	}
	return m.err()
}

// ReingestProgressed says how far a reingest has come: it has begun, one more
// upload was read, or it has ended. ingest sends it, in the same commit as what
// came of the upload, and reads the next when it receives it.
type ReingestProgressed struct {
	// Reingest is the id of the request, By who made it.
	Reingest string `json:"reingest"`
	By       string `json:"by,omitempty"`
	Since    string `json:"since,omitempty"`
	// Files and Bytes are how much there was to read when it began.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Done uploads were read, Rejected of them did not become a partition, Left are
	// still to be read. The reingest has ended when none is left.
	Done     int `json:"done"`
	Rejected int `json:"rejected,omitempty"`
	Left     int `json:"left"`
	// Last is the name of the upload that was read last, Order its place among all
	// uploads.
	Last  string `json:"last,omitempty"`
	Order int    `json:"order,omitempty"`
	// Note says what happened to it, or why the reingest ended, if that is not
	// what should be.
	Note string `json:"note,omitempty"`
}

func (ReingestProgressed) EventType() string    { return "dev.millrace.reingest.progressed.v1" }
func (ReingestProgressed) EventSubject() string { return "reingest" }
func (d ReingestProgressed) Validate() error {
	var m mistakes
	m.required("reingest", d.Reingest)
	m.add(d.Left >= 0 && d.Done >= 0, "done is %d and left is %d; neither can be negative", d.Done, d.Left)
	return m.err()
}
