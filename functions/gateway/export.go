package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
)

// An export is a file of CloudEvents in the structured mode, one a line: one
// that begins it, the pipeline's events in the order of the log, each behind
// the artifacts that it refers to and that have not been told before, and one
// that ends it. No line says a sequence.
//
// An event carries, beside its own attributes, its place in the log, its time
// there, and which of its commit it is. An artifact is cut into parts.
const (
	exportBegun    = events.TypePrefix + "export.begun.v1"
	exportArtifact = events.TypePrefix + "export.artifact.v1"
	exportEnded    = events.TypePrefix + "export.ended.v1"
	exportFailed   = events.TypePrefix + "export.failed.v1"

	// exportFormat is raised when an older import cannot read the file.
	exportFormat = 1

	logPlace  = "logplace"
	logCommit = "logcommit"

	// maxExportLine bounds one line: an event's data may be written longer
	// than it came, and a part of an artifact is base64.
	maxExportLine = 8 << 20
	exportPart    = 384 << 10
	// maxNested bounds a report that is looked into for further references.
	maxNested = 64 << 20
)

// ExportLine is what a line of an export that is not an event is about.
type ExportLine string

// The lines that tell whether an export is whole: the last one of a whole
// export, and of one that could not be ended.
const (
	ExportEnded  ExportLine = exportEnded
	ExportFailed ExportLine = exportFailed
)

// ExportLineOf reads what a line is about.
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

// maxMark bounds a line about the export itself.
const maxMark = 64 << 10

// exportHead is the data of the line that begins an export.
type exportHead struct {
	Format    int    `json:"format"`
	Pipeline  string `json:"pipeline"`
	Artifacts bool   `json:"artifacts"`
}

// exportFoot is the data of the line that ends it.
type exportFoot struct {
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
	// Part is which of how many, "2/3".
	Part string `json:"part"`
	Data []byte `json:"data_base64"`
}

// getExport writes a pipeline's history, with artifacts if they are asked for.
func (f *F) getExport(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("pipeline")
	if _, err := f.pipeline(r.Context(), name); err != nil {
		return err
	}
	with := false
	if v := r.URL.Query().Get("artifacts"); v != "" {
		var err error
		if with, err = strconv.ParseBool(v); err != nil {
			return refuse(http.StatusBadRequest, "artifacts=%.60s is not true or false", v)
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &exporting{f: f, w: w, control: http.NewResponseController(w), seen: map[string]bool{}}
	if err := out.export(r.Context(), name, with); err != nil {
		if !out.begun {
			return err
		}
		f.Logger.ErrorContext(r.Context(), "an export broke off", "pipeline", name, "error", err)
		_ = out.mark(exportFailed, name, struct { // the file is not whole without its last line, whoever reads this one
			Error string `json:"error"`
		}{err.Error()})
	}
	return nil
}

// exporting is an export under way.
type exporting struct {
	f       *F
	w       io.Writer
	control *http.ResponseController
	begun   bool
	seen    map[string]bool // digests
	foot    exportFoot
}

func (x *exporting) export(ctx context.Context, pipeline string, artifacts bool) error {
	if err := x.mark(exportBegun, pipeline, exportHead{exportFormat, pipeline, artifacts}); err != nil {
		return err
	}
	for r, err := range x.f.Log.History(ctx, pipeline) {
		if err != nil {
			return err
		}
		if artifacts {
			if err := x.artifacts(ctx, r.Data); err != nil {
				return err
			}
		}
		if err := x.line(exported(r)); err != nil {
			return err
		}
		x.foot.Events++
	}
	return x.mark(exportEnded, pipeline, x.foot)
}

// exported is the event with its place, commit and time as attributes.
func exported(r eventlog.Recorded) events.Envelope {
	e := r.Envelope
	e.Attributes = maps.Clone(e.Attributes)
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	e.Attributes[logPlace] = r.Place
	e.Attributes[events.AttributeRecordedTime] = e.Time.UTC().Format(time.RFC3339Nano)
	if size := r.Index + r.More; size > 1 {
		e.Attributes[logCommit] = fmt.Sprintf("%d/%d", r.Index, size)
	}
	return e
}

// mark writes a line that is about the export itself.
func (x *exporting) mark(kind, pipeline string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return x.line(events.Envelope{
		Header: events.Header{ID: events.Cause(kind, pipeline), Source: events.Source(Name), Type: kind, Subject: pipeline, Pipeline: pipeline}, Data: body,
	})
}

func (x *exporting) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) >= maxExportLine {
		return fmt.Errorf("a line of the export has %d bytes; at most %d are written", len(b), maxExportLine)
	}
	x.begun = true
	_ = x.control.SetWriteDeadline(time.Now().Add(writeWithin)) // a server that cannot set deadlines has its own
	_, err = x.w.Write(append(b, '\n'))
	return err
}

// artifacts writes what the data refers to, and what that refers to.
func (x *exporting) artifacts(ctx context.Context, data []byte) error {
	for _, ref := range refsIn(data) {
		if x.seen[ref.Digest] {
			continue
		}
		x.seen[ref.Digest] = true
		if strings.HasSuffix(ref.URL, ".json") && ref.Size <= maxNested {
			nested, err := x.f.Artifacts.Bytes(ctx, ref, maxNested)
			if err != nil && !errors.Is(err, artifact.ErrNotFound) {
				return err
			}
			if err := x.artifacts(ctx, nested); err != nil {
				return err
			}
		}
		err := x.artifact(ctx, ref)
		switch {
		case errors.Is(err, artifact.ErrNotFound):
			x.foot.Missing++
		case err != nil:
			return err
		default:
			x.foot.Artifacts++
		}
	}
	return nil
}

// artifact writes the bytes of ref, part by part.
func (x *exporting) artifact(ctx context.Context, ref events.Ref) (err error) {
	in, err := x.f.Artifacts.Open(ctx, ref)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	parts := max(1, (ref.Size+exportPart-1)/exportPart)
	l := artifactLine{
		SpecVersion: "1.0", Source: events.Source(Name), Type: exportArtifact, Subject: "artifact/" + ref.Short(),
		ContentType: "application/octet-stream", Digest: ref.Digest, Suffix: artifact.Suffix(ref.URL),
	}
	buffer := make([]byte, exportPart)
	for i := range parts {
		n, err := io.ReadFull(in, buffer)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read artifact %s: %w", ref.Short(), err)
		}
		if int64(n) != min(exportPart, ref.Size-i*exportPart) {
			return fmt.Errorf("artifact %s ends early", ref.Short())
		}
		l.Part, l.Data = fmt.Sprintf("%d/%d", i+1, parts), buffer[:n]
		l.ID = ref.Digest + "/" + l.Part
		if err := x.line(l); err != nil {
			return err
		}
	}
	// The last read of a whole artifact is the one that checks its digest.
	if n, err := in.Read(buffer); n > 0 || !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("artifact %s is longer than its reference says", ref.Short()), err)
	}
	return nil
}

// refsIn are the references in a JSON value, each digest once, in the order of
// their digests.
func refsIn(data []byte) []events.Ref {
	if !bytes.Contains(data, []byte(`"sha256:`)) {
		return nil
	}
	var v any
	if json.Unmarshal(data, &v) != nil {
		return nil
	}
	found := map[string]events.Ref{}
	collectRefs(v, found)
	return slices.SortedFunc(maps.Values(found), func(a, b events.Ref) int { return strings.Compare(a.Digest, b.Digest) })
}

func collectRefs(v any, found map[string]events.Ref) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			collectRefs(x, found)
		}
	case map[string]any:
		url, _ := v["url"].(string)
		digest, _ := v["digest"].(string)
		size, _ := v["size"].(float64)
		if ref := (events.Ref{URL: url, Digest: digest, Size: int64(size)}); url != "" && ref.Validate() == nil {
			found[digest] = ref
		}
		for _, x := range v {
			collectRefs(x, found)
		}
	}
}
