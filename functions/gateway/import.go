package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// Imported is what became of an import.
type Imported struct {
	Pipeline string `json:"pipeline"`
	// Events is how many the history has, New how many were not here before.
	Events int `json:"events"`
	New    int `json:"new"`
	// Artifacts came with it; Missing were not in the store that it was
	// exported from.
	Artifacts int `json:"artifacts"`
	Missing   int `json:"missing,omitempty"`
}

// importWithin bounds the appending of the events.
const importWithin = 30 * time.Minute

// postImport takes over a pipeline's history from an export. Artifacts are
// stored as they come; events are set aside until the file is known to be
// whole, and then appended at one go, so that little can come between them.
func (f *F) postImport(w http.ResponseWriter, r *http.Request) (err error) {
	dir, err := f.Artifacts.TempDir("import-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	in := &importing{f: f, dir: dir}
	if err := in.receive(r.Context(), r.Body); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), importWithin)
	defer cancel()
	done, err := f.Log.Import(ctx, in.head.Pipeline, in.history())
	switch {
	case errors.Is(err, eventlog.ErrOtherHistory):
		return refuse(http.StatusConflict, "%s cannot be imported here: %v", in.head.Pipeline, err).
			try("import it into a system that has nothing of %s: millrace up --dir with an empty folder, without --pipelines", in.head.Pipeline)
	case errors.Is(err, eventlog.ErrMoved):
		return refuse(http.StatusConflict, "%v", err)
	case errors.Is(err, eventlog.ErrBadHistory):
		return refuse(http.StatusBadRequest, "%v", err)
	case err != nil:
		return err
	}
	writeJSON(w, http.StatusOK, Imported{in.head.Pipeline, done.Events, done.New, in.artifacts, in.foot.Missing})
	return nil
}

// importing is an import under way.
type importing struct {
	f         *F
	dir       string
	head      exportHead
	foot      exportFoot
	events    int
	artifacts int
	// coming is the artifact whose parts are coming, nil between two.
	coming *comingArtifact
}

// comingArtifact is an artifact of which not all parts are there.
type comingArtifact struct {
	digest, suffix string
	part, parts    int
	file           *os.File
}

func (in *importing) aside() string { return filepath.Join(in.dir, "events.jsonl") }

// receive reads the whole of an export.
func (in *importing) receive(ctx context.Context, body io.Reader) (err error) {
	aside, err := os.Create(in.aside())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(aside)
	defer func() {
		err = errors.Join(err, out.Flush(), aside.Close())
		if in.coming != nil {
			err = errors.Join(err, in.coming.file.Close())
		}
	}()
	ended := false
	lines := newLines(body)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		var of struct {
			Type string `json:"type"`
		}
		err := json.Unmarshal(line, &of)
		switch {
		case err != nil:
		case ended:
			err = errors.New("the export has ended before it")
		case n == 1:
			err = in.begin(of.Type, line)
		case in.coming != nil && of.Type != exportArtifact:
			err = fmt.Errorf("part %d of artifact %s was to come", in.coming.part+1, events.Short(in.coming.digest))
		case of.Type == exportArtifact:
			err = in.artifact(ctx, line)
		case of.Type == exportEnded:
			ended, err = true, in.end(line)
		default:
			in.events++
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		if err != nil {
			return badLine(n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return refuse(http.StatusBadRequest, "a line of the export is longer than %d bytes", maxExportLine)
	case err != nil:
		return err
	case !ended:
		return refuse(http.StatusBadRequest, "this is not a whole export: its last line is missing").try("export it again; no event of it was imported")
	}
	return nil
}

func newLines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxExportLine)
	return s
}

// badLine says which line is wrong; what is wrong with the system stays that.
func badLine(n int, err error) error {
	if p := problemOf(err); p.status != http.StatusInternalServerError {
		return err
	}
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return err
	}
	return refuse(http.StatusBadRequest, "line %d of the export is not as it was written: %v", n, err).try("no event of it was imported")
}

func (in *importing) begin(kind string, line []byte) error {
	if kind != exportBegun {
		return refuse(http.StatusBadRequest, "this is no export of Millrace: its first line is not of the type %s", exportBegun).try("millrace export PIPELINE makes one")
	}
	if err := dataOf(line, &in.head); err != nil {
		return err
	}
	if in.head.Format != exportFormat {
		return refuse(http.StatusBadRequest, "the export has the format %d, and this version of Millrace reads %d", in.head.Format, exportFormat)
	}
	return nil
}

func (in *importing) end(line []byte) error {
	if err := dataOf(line, &in.foot); err != nil {
		return err
	}
	if in.foot.Events != in.events || in.foot.Artifacts != in.artifacts {
		return fmt.Errorf("it counts %d events and %d artifacts, and %d and %d came", in.foot.Events, in.foot.Artifacts, in.events, in.artifacts)
	}
	return nil
}

func dataOf(line []byte, v any) error {
	var e events.Envelope
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	return json.Unmarshal(e.Data, v)
}

// artifact takes one part of an artifact, and stores it with the last one.
func (in *importing) artifact(ctx context.Context, line []byte) error {
	var l artifactLine
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	var part, parts int
	if _, err := fmt.Sscanf(l.Part, "%d/%d", &part, &parts); err != nil {
		return fmt.Errorf("part %q is not of the form 2/3", l.Part)
	}
	c := in.coming
	if c == nil {
		file, err := os.CreateTemp(in.dir, "artifact")
		if err != nil {
			return err
		}
		c = &comingArtifact{digest: l.Digest, suffix: l.Suffix, parts: parts, file: file}
		in.coming = c
	}
	if c.part++; l.Digest != c.digest || part != c.part || parts != c.parts || part > parts {
		return fmt.Errorf("part %s of artifact %s does not follow the one before it", l.Part, events.Short(l.Digest))
	}
	if _, err := c.file.Write(l.Data); err != nil {
		return err
	}
	if part < parts {
		return nil
	}
	in.coming = nil
	if err := c.file.Close(); err != nil {
		return err
	}
	ref, err := in.f.Artifacts.PutFile(ctx, c.file.Name(), c.suffix, true)
	if err != nil {
		return err
	}
	if ref.Digest != c.digest {
		return fmt.Errorf("the bytes of artifact %s are not those of its digest: they give %s", events.Short(c.digest), ref.Short())
	}
	in.artifacts++
	return nil
}

// history gives the events that were set aside.
func (in *importing) history() iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		file, err := os.Open(in.aside())
		if err != nil {
			yield(eventlog.Recorded{}, err)
			return
		}
		defer file.Close()
		lines := newLines(file)
		for lines.Scan() {
			r, err := recordedOf(lines.Bytes())
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(eventlog.Recorded{}, err)
		}
	}
}

// recordedOf reads an event's line: the opposite of exported.
func recordedOf(line []byte) (eventlog.Recorded, error) {
	r := eventlog.Recorded{Index: 1}
	if err := json.Unmarshal(line, &r.Envelope); err != nil {
		return r, fmt.Errorf("%w: %w", eventlog.ErrBadHistory, err)
	}
	a := r.Attributes
	r.Place = a[logPlace]
	var err error
	if r.Time, err = time.Parse(time.RFC3339Nano, a[events.AttributeRecordedTime]); err != nil {
		return r, fmt.Errorf("%w: attribute %s of %s is not a time", eventlog.ErrBadHistory, events.AttributeRecordedTime, r.ID)
	}
	if v := a[logCommit]; v != "" {
		size := 0
		if _, err := fmt.Sscanf(v, "%d/%d", &r.Index, &size); err != nil {
			return r, fmt.Errorf("%w: attribute %s of %s is not of the form 2/3", eventlog.ErrBadHistory, logCommit, r.ID)
		}
		r.More = size - r.Index
	}
	delete(a, logPlace)
	delete(a, logCommit)
	return r, nil
}
