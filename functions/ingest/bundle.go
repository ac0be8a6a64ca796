package ingest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/ingest/contract"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/state"
	"millrace.dev/shared/table/duck"
	"millrace.dev/shared/table/source"
)

// bundles are the configurations that were unpacked, by the digest of their
// bundle. A bundle is unpacked once per process: others may be reading its
// tables.
type bundles struct {
	store *artifact.Store
	dir   string

	mu     sync.Mutex
	loaded map[string]*config.Loaded
}

func (b *bundles) get(ctx context.Context, ref events.Ref) (*config.Loaded, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.loaded[ref.Digest]; l != nil {
		return l, nil
	}
	r, err := b.store.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	dir := filepath.Join(b.dir, strings.TrimPrefix(ref.Digest, "sha256:"))
	if err := os.RemoveAll(dir); err != nil { // what a killed process left
		return nil, err
	}
	l, err := config.ReadBundle(r, dir)
	if err != nil {
		return nil, err
	}
	if b.loaded == nil {
		b.loaded = map[string]*config.Loaded{}
	}
	b.loaded[ref.Digest] = l
	return l, nil
}

// readsDataset finds statements that may read the relation dataset. Others
// need not have its files fetched.
var readsDataset = regexp.MustCompile(`(?i)\bdataset\b`)

// prepare is how an upload of the object becomes a partition, by the
// configuration that rules in p.
func (f *F) prepare(ctx context.Context, p *state.Pipeline, object events.Object) (*duck.PrepareInput, error) {
	data := p.Config.Spec.Data
	in := contract.Upload(p.Config)
	if data.Prepare == "" {
		return in, nil
	}
	bundle, err := f.bundles.get(ctx, p.Configured.Bundle)
	if err != nil {
		return nil, fmt.Errorf("configuration %s of pipeline %s: %w", events.Short(p.Configured.Digest), p.Name, err)
	}
	in.SQL, in.Tables = bundle.Prepare, bundle.Tables
	if !readsDataset.MatchString(in.SQL) {
		return in, nil
	}
	for _, m := range p.Dataset.Partitions {
		if m.Object.Name() == object.Name() {
			continue
		}
		path, err := f.deps.Artifacts.Path(ctx, m.Data)
		if err != nil {
			return nil, fmt.Errorf("partition %s: %w", m.Data.Short(), err)
		}
		in.Dataset = append(in.Dataset, path)
	}
	return in, nil
}

// names lists the names of columns.
func names(columns []source.Column) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.Name
	}
	return all
}
