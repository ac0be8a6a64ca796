package archive

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
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/httperror"
)

// appendWithin bounds the appending of the events.
const appendWithin = 30 * time.Minute

// Import takes over a pipeline's history from an export. Artifacts are stored
// as they come. Events are kept in a temporary file until the export is known
// to be whole, and are then appended in one go, which does not end with ctx.
//
// A mistake in the file is an *httperror.Error; what else may go wrong with the
// history is one of eventlog's: ErrOtherHistory, ErrLives, ErrMoved, ErrBadHistory. The
// pipeline's name is in the result even then.
func Import(ctx context.Context, log *eventlog.Log, store *artifact.Store, r io.Reader) (out api.Imported, err error) {
	dir, err := store.TempDir("import-*")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	in := &importing{store: store, dir: dir}
	if err := in.receive(ctx, r); err != nil {
		return out, err
	}
	out = api.Imported{Pipeline: in.head.Pipeline, Artifacts: in.artifacts, Missing: in.foot.Missing}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendWithin)
	defer cancel()
	done, err := log.Import(ctx, in.head.Pipeline, in.history())
	out.Events, out.New = done.Events, done.New
	return out, err
}

// importing is an import under way.
type importing struct {
	store     *artifact.Store
	dir       string
	head      head
	foot      foot
	events    int
	artifacts int
	// partial is the artifact being received, nil between two.
	partial *partialArtifact
}

// partialArtifact is an artifact that has not arrived completely.
type partialArtifact struct {
	digest, suffix string
	part, parts    int
	file           *os.File
}

func (in *importing) eventsFile() string { return filepath.Join(in.dir, "events.jsonl") }

// receive reads the whole of an export.
func (in *importing) receive(ctx context.Context, body io.Reader) (err error) {
	file, err := os.Create(in.eventsFile())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	defer func() {
		err = errors.Join(err, out.Flush(), file.Close())
		if in.partial != nil {
			err = errors.Join(err, in.partial.file.Close())
		}
	}()
	ended := false
	lines := newLines(body)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		var of struct {
			Type api.ExportLine `json:"type"`
		}
		err := json.Unmarshal(line, &of)
		switch {
		case err != nil:
		case ended:
			err = errors.New("the export has ended before it")
		case n == 1:
			err = in.begin(of.Type, line)
		case in.partial != nil && of.Type != api.ExportArtifact:
			err = fmt.Errorf("part %d of artifact %s is missing", in.partial.part+1, events.Short(in.partial.digest))
		case of.Type == api.ExportArtifact:
			err = in.artifact(ctx, line)
		case of.Type == api.ExportEnded:
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
		return httperror.New(http.StatusBadRequest, "a line of the export is longer than %d bytes", maxLine)
	case err != nil:
		return err
	case !ended:
		return httperror.New(http.StatusBadRequest, "this is not a whole export: its last line is missing").Try("export it again; no event of it was imported")
	}
	return nil
}

func newLines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	return s
}

// systemError is a failure of this system, not a mistake in the file.
type systemError struct{ error }

func (e systemError) Unwrap() error { return e.error }

// badLine says which line is wrong.
func badLine(n int, err error) error {
	if _, ok := errors.AsType[*httperror.Error](err); ok {
		return err
	}
	if failed, ok := errors.AsType[systemError](err); ok {
		return failed.error
	}
	return httperror.New(http.StatusBadRequest, "line %d of the export is not as it was written: %v", n, err).Try("no event of it was imported")
}

func (in *importing) begin(kind api.ExportLine, line []byte) error {
	if kind != api.ExportBegun {
		return httperror.New(http.StatusBadRequest, "this is not an export of Millrace: its first line is not of the type %s", api.ExportBegun).Try("millrace export PIPELINE makes one")
	}
	if err := dataOf(line, &in.head); err != nil {
		return err
	}
	if in.head.Format != format {
		return httperror.New(http.StatusBadRequest, "the export has the format %d, and this version of Millrace reads %d", in.head.Format, format)
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
	p := in.partial
	if p == nil {
		file, err := os.CreateTemp(in.dir, "artifact")
		if err != nil {
			return systemError{err}
		}
		p = &partialArtifact{digest: l.Digest, suffix: l.Suffix, parts: parts, file: file}
		in.partial = p
	}
	if p.part++; l.Digest != p.digest || part != p.part || parts != p.parts || part > parts {
		return fmt.Errorf("part %s of artifact %s does not follow the one before it", l.Part, events.Short(l.Digest))
	}
	if _, err := p.file.Write(l.Data); err != nil {
		return systemError{err}
	}
	if part < parts {
		return nil
	}
	in.partial = nil
	return in.keep(ctx, p)
}

// keep stores an artifact that has arrived completely.
func (in *importing) keep(ctx context.Context, p *partialArtifact) error {
	if err := p.file.Close(); err != nil {
		return systemError{err}
	}
	ref, err := in.store.PutFile(ctx, p.file.Name(), p.suffix, true)
	if err != nil {
		return systemError{err}
	}
	if ref.Digest != p.digest {
		return fmt.Errorf("the bytes of artifact %s are not those of its digest: they give %s", events.Short(p.digest), ref.Short())
	}
	in.artifacts++
	return nil
}

// history yields the events that were kept.
func (in *importing) history() iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		file, err := os.Open(in.eventsFile())
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
	r.Place = a[PlaceAttribute]
	var err error
	if r.Time, err = time.Parse(time.RFC3339Nano, a[events.AttributeRecordedTime]); err != nil {
		return r, fmt.Errorf("%w: attribute %s of %s is not a time", eventlog.ErrBadHistory, events.AttributeRecordedTime, r.ID)
	}
	if y := r.Time.UTC().Year(); y < 1 || y > 9999 {
		return r, fmt.Errorf("%w: attribute %s of %s is not in the years 1 to 9999", eventlog.ErrBadHistory, events.AttributeRecordedTime, r.ID)
	}
	if v := a[CommitAttribute]; v != "" {
		size := 0
		if _, err := fmt.Sscanf(v, "%d/%d", &r.Index, &size); err != nil {
			return r, fmt.Errorf("%w: attribute %s of %s is not of the form 2/3", eventlog.ErrBadHistory, CommitAttribute, r.ID)
		}
		r.More = size - r.Index
	}
	delete(a, PlaceAttribute)
	delete(a, CommitAttribute)
	return r, nil
}
