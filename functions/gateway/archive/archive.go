// Package archive writes a pipeline's history to a file and reads it back into
// the log of another system.
//
// The file holds CloudEvents in the structured mode, one a line: a line that
// begins the export, the pipeline's events in the order of the log, each after
// the artifacts it refers to that have not been written yet, and a line that
// ends the export. No line has a sequence of the log.
//
// An event carries, beside its own attributes, its place in the log, its time
// there, and its index in its commit. An artifact is split into parts.
package archive

// Attributes that an exported event has beside its own.
const (
	// PlaceAttribute is its place in the log.
	PlaceAttribute = "logplace"
	// CommitAttribute is its index in its commit, "2/3".
	CommitAttribute = "logcommit"
)

const (
	// format is raised when an older import cannot read the file.
	format = 1

	// maxLine bounds one line: an event's data may be written longer than it
	// came, and a part of an artifact is base64.
	maxLine  = 8 << 20
	partSize = 384 << 10
)

// head is the data of the line that begins an export.
type head struct {
	Format    int    `json:"format"`
	Pipeline  string `json:"pipeline"`
	Artifacts bool   `json:"artifacts"`
}

// foot is the data of the line that ends it.
type foot struct {
	Events    int `json:"events"`
	Artifacts int `json:"artifacts"`
	// Missing artifacts were not in the store any more.
	Missing int `json:"missing,omitempty"`
}

// artifactLine is one part of an artifact.
type artifactLine struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Subject     string `json:"subject"`
	ContentType string `json:"datacontenttype"`
	Digest      string `json:"digest"`
	Suffix      string `json:"suffix"`
	// Part is "2/3", the second of three.
	Part string `json:"part"`
	Data []byte `json:"data_base64"`
}
