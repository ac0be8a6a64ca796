package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/ingest/contract"
	"millrace.dev/shared/function"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// uploaded answers an upload with what came of its bytes.
func (f *F) uploaded(ctx context.Context, e events.Event[events.ObjectUploaded], p *state.Pipeline) ([]events.Data, error) {
	object := p.Objects[e.Data.Name()]
	if object == nil || object.Event != e.ID {
		return function.Nothing("superseded by a newer upload or removal of %s", e.Data.Name())
	}
	if p.Config == nil {
		return nil, function.Reject(fmt.Errorf("pipeline %s has no configuration yet; load its file, then send the event again", p.Name))
	}
	labels := p.Config.WantsLabels(object.Bucket, object.Key)
	if !labels && !wantsUpload(p.Config, object.Object) {
		return function.Nothing("no glob of the pipeline matches %s", object.Name())
	}
	if reason := again(p, object, e.Data.Content.Digest); reason != "" {
		return function.Nothing("%s", reason)
	}
	release, err := f.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	dir, err := f.deps.Artifacts.TempDir("ingest-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	up, err := f.fetch(ctx, e.Data, dir)
	switch {
	case errors.Is(err, errGone):
		return vanished(p, object)
	case err != nil:
		return reject(p, object, up, err)
	}
	if reason := again(p, object, up.digest); reason != "" {
		return function.Nothing("%s", reason)
	}
	var data []events.Data
	if labels {
		data, err = f.labels(ctx, e, p, up, dir)
	} else {
		data, err = f.partition(ctx, p, object.Object, up, dir)
	}
	if err != nil {
		return reject(p, object, up, err)
	}
	return data, nil
}

// patience is how long a handler waits for a slot before the event is redelivered later.
const patience = 30 * time.Second

// acquire waits for a slot to read one more object. The caller calls release
// when the object was read.
func (f *F) acquire(ctx context.Context) (release func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case f.slots <- struct{}{}:
		return func() { <-f.slots }, nil
	case <-timer.C:
		return nil, function.Later(patience/2, fmt.Errorf("%d objects are being read already", cap(f.slots)))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// again says why bytes need not be read again, empty if they need.
func again(p *state.Pipeline, o *state.Object, content string) string {
	if content == "" || content != o.Content || o.Config != p.Configured.Digest {
		return ""
	}
	if !allMatched(p, o.Object) {
		return "" // the predictions of its labels may have been logged since
	}
	const same = "the same bytes as before, under the same configuration: "
	switch o.Before {
	case state.ObjectValid:
		return same + "they are in the dataset"
	case state.ObjectIngested:
		return same + "they are being validated"
	case state.ObjectRejected:
		return same + "they were rejected: " + o.Reason
	case state.ObjectLabels:
		return same + "their labels are known"
	}
	return ""
}

// vanished answers an upload whose object is no longer there.
func vanished(p *state.Pipeline, o *state.Object) ([]events.Data, error) {
	if p.Dataset.Partition(o.Name()) == nil {
		return function.Nothing("%s is no longer in its bucket", o.Name())
	}
	// By its sequencer the removal is older than an upload that has come meanwhile.
	gone := events.Object{Bucket: o.Bucket, Key: o.Key, Sequencer: o.Sequencer}
	return []events.Data{events.ObjectRemoved{Object: gone, By: Name}}, nil
}

// reject emits a rejection when err is about the data, and fails with it
// when it is not.
func reject(p *state.Pipeline, o *state.Object, up upload, err error) ([]events.Data, error) {
	problems := Problems(err)
	if problems == nil {
		return nil, err
	}
	return []events.Data{events.PartitionRejected{
		Object: o.Object, Stage: "ingest", Content: up.digest, Config: p.Configured.Digest, Problems: problems,
	}}, nil
}

// partition makes a partition of an upload.
func (f *F) partition(ctx context.Context, p *state.Pipeline, object events.Object, up upload, dir string) ([]events.Data, error) {
	prepare, err := f.prepare(ctx, p, object)
	if err != nil {
		return nil, err
	}
	prepare.SetAside = contract.SetAside(p.Config, filepath.Join(dir, "aside.jsonl"))
	t, err := f.convert(ctx, up.Source, prepare, filepath.Join(dir, "partition.parquet"))
	if err != nil {
		return nil, err
	}
	left, err := f.setAside(ctx, t.aside, prepare.SetAside)
	if err != nil {
		return nil, err
	}
	return []events.Data{events.PartitionIngested{
		Object: object, Data: t.ref, Rows: t.rows, Fields: t.fields(), Content: up.digest, Config: p.Configured.Digest, SetAside: left,
	}}, nil
}

// stored is a canonical table in the artifact store.
type stored struct {
	ref    events.Ref
	rows   int64
	schema table.Schema
	aside  *source.Aside // rows that were left out; nil without quarantine
}

func (t stored) fields() []events.Field {
	fields := make([]events.Field, len(t.schema))
	for i, c := range t.schema {
		fields[i] = events.Field{Name: c.Name, Type: string(c.Type)}
	}
	return fields
}

// convert makes a canonical table of src at out and stores it.
func (f *F) convert(ctx context.Context, src duck.Source, prepare *duck.PrepareInput, out string) (stored, error) {
	c, err := duck.ConvertApart(ctx, src, prepare, out, f.cfg.limits())
	if err != nil {
		return stored{}, err
	}
	// It stays at out, for what is made of it next, until the handling ends.
	ref, err := f.deps.Artifacts.PutFile(ctx, out, ".parquet", false)
	if err != nil {
		return stored{}, err
	}
	return stored{ref: ref, rows: c.Rows, schema: c.Schema, aside: c.Aside}, nil
}
