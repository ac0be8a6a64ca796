package api

import (
	"bytes"
	"encoding/json"

	"millrace.dev/events"
)

// ExportLine is the type of a line of an export that is about the export
// itself and not an event of the pipeline.
type ExportLine string

// The lines of an export beside the events.
const (
	// ExportBegun is the first line.
	ExportBegun ExportLine = events.TypePrefix + "export.begun.v1"
	// ExportArtifact is one part of an artifact.
	ExportArtifact ExportLine = events.TypePrefix + "export.artifact.v1"
	// ExportEnded is the last line of a whole export.
	ExportEnded ExportLine = events.TypePrefix + "export.ended.v1"
	// ExportFailed is the last line of an export that could not be completed.
	ExportFailed ExportLine = events.TypePrefix + "export.failed.v1"
)

// maxMark bounds a line about the export itself; an artifact's may be longer.
const maxMark = 64 << 10

// ExportLineOf returns the type of a line about the export itself, and "" for
// an event or a part of an artifact.
func ExportLineOf(line []byte) ExportLine {
	if len(line) > maxMark || !bytes.Contains(line, []byte(events.TypePrefix+"export.")) {
		return ""
	}
	var of struct {
		Type ExportLine `json:"type"`
	}
	if json.Unmarshal(line, &of) != nil {
		return ""
	}
	return of.Type
}
