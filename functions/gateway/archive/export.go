package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/eventlog"
)

// maxNested bounds a report that is searched for further references.
const maxNested = 64 << 20

// source is the CloudEvents source of the lines that are not events.
var source = events.Source("gateway")

// Export writes a pipeline's history to w, with the artifacts it refers to if
// artifacts is set. An export that fails after its first line ends in a line of
// the type api.ExportFailed, so that no reader takes it for whole.
func Export(ctx context.Context, log *eventlog.Log, store *artifact.Store, pipeline string, artifacts bool, w io.Writer) error {
	out := &exporting{log: log, store: store, w: w, seen: map[string]bool{}}
	err := out.export(ctx, pipeline, artifacts)
	if err != nil && out.begun {
		_ = out.mark(api.ExportFailed, pipeline, struct { // without its last line the file is not whole either
			Error string `json:"error"`
		}{err.Error()})
	}
	return err
}

// exporting is an export under way.
type exporting struct {
	log   *eventlog.Log
	store *artifact.Store
	w     io.Writer
	begun bool
	seen  map[string]bool // digests
	foot  foot
}

func (x *exporting) export(ctx context.Context, pipeline string, artifacts bool) error {
	if err := x.mark(api.ExportBegun, pipeline, head{format, pipeline, artifacts}); err != nil {
		return err
	}
	for r, err := range x.log.History(ctx, pipeline) {
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
	return x.mark(api.ExportEnded, pipeline, x.foot)
}

// exported is the event with its place, commit and time as attributes.
func exported(r eventlog.Recorded) events.Envelope {
	e := r.Envelope
	e.Attributes = maps.Clone(e.Attributes)
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	e.Attributes[PlaceAttribute] = r.Place
	e.Attributes[events.AttributeRecordedTime] = e.Time.UTC().Format(time.RFC3339Nano)
	if size := r.Index + r.More; size > 1 {
		e.Attributes[CommitAttribute] = fmt.Sprintf("%d/%d", r.Index, size)
	}
	return e
}

// mark writes a line that is about the export itself.
func (x *exporting) mark(kind api.ExportLine, pipeline string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return x.line(events.Envelope{
		Header: events.Header{ID: events.Cause(string(kind), pipeline), Source: source, Type: string(kind), Subject: pipeline, Pipeline: pipeline}, Data: body,
	})
}

func (x *exporting) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) >= maxLine {
		return fmt.Errorf("a line of the export has %d bytes; at most %d are written", len(b), maxLine)
	}
	x.begun = true
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
			nested, err := x.store.Bytes(ctx, ref, maxNested)
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
	in, err := x.store.Open(ctx, ref)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	parts := max(1, (ref.Size+partSize-1)/partSize)
	l := artifactLine{
		SpecVersion: "1.0", Source: source, Type: string(api.ExportArtifact), Subject: "artifact/" + ref.Short(),
		ContentType: "application/octet-stream", Digest: ref.Digest, Suffix: artifact.Suffix(ref.URL),
	}
	buffer := make([]byte, partSize)
	for i := range parts {
		n, err := io.ReadFull(in, buffer)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read artifact %s: %w", ref.Short(), err)
		}
		if int64(n) != min(partSize, ref.Size-i*partSize) {
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
