package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/function"
)

// Configure emits a pipeline's configuration if it differs from the one in
// the log. l.Dir is the folder of the pipeline's trainer, empty if that is in
// an image. It is idempotent.
func Configure(ctx context.Context, d function.Deps, l *config.Loaded) error {
	name := l.Pipeline.Name()
	before, err := d.States.Load(ctx, name)
	if err != nil {
		return err
	}
	if before.Configured.Digest == l.Digest && before.Configured.Dir == l.Dir && !before.Configured.Imported {
		return nil
	}
	var bundle bytes.Buffer
	if err := config.Bundle(l, &bundle); err != nil {
		return fmt.Errorf("bundle %s: %w", l.File, err)
	}
	ref, err := d.Artifacts.PutBytes(ctx, bundle.Bytes(), bundleSuffix)
	if err != nil {
		return fmt.Errorf("store the bundle of %s: %w", name, err)
	}
	prepared, err := l.PreparedDigest()
	if err != nil {
		return fmt.Errorf("read the prepare of %s: %w", name, err)
	}
	// The configuration may come back to what it was: what it was before is
	// part of the cause.
	_, err = d.Log.Append(ctx, eventlog.Commit{
		Pipeline: name, Function: Name,
		Cause: events.Cause("configured", name, l.Digest, l.Dir, before.Configured.Digest, before.Configured.Time.String()),
		Data: []events.Data{events.PipelineConfigured{
			Digest: l.Digest, Bundle: ref, Spec: l.Pipeline.JSON(), Dir: l.Dir, Commit: l.Commit, Prepared: prepared,
		}},
	})
	return err
}

const (
	bundleSuffix = ".tar.gz"
	// pollInterval is how often the folder of pipelines is read.
	pollInterval = 5 * time.Second
	// largestFile bounds one of its files; a ConfigMap has at most 1 MiB.
	largestFile = 16 << 20
)

// folder is a folder of pipelines that is kept in the log: a mounted ConfigMap,
// in which a file is a pipeline (flights.yaml) or a pipeline's bundle, with the
// files beside it (flights.tar.gz).
type folder struct {
	f    *F
	path string
	// seen is the digest of the files that were read last.
	seen [sha256.Size]byte
}

// watch keeps the folder in the log until ctx ends.
func (d *folder) watch(ctx context.Context) {
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	for {
		if err := d.poll(ctx); err != nil && ctx.Err() == nil {
			d.f.deps.Logger.ErrorContext(ctx, "not every pipeline is configured as its file says; those in the log stay as they are", "folder", d.path, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// poll configures every pipeline of the folder, if a file has changed since it
// did so. A mistake in one pipeline does not prevent the others from being
// configured.
func (d *folder) poll(ctx context.Context) error {
	files, sum, err := d.read()
	if err != nil || sum == d.seen {
		return err
	}
	var errs []error
	for _, file := range files {
		errs = append(errs, d.configure(ctx, file))
	}
	// A file with a mistake is read again when it has changed; a log or a store
	// that was away is tried again.
	if err = errors.Join(errs...); err == nil || onlyMistakes(errs) {
		d.seen = sum
	}
	d.f.metrics.mistaken.Set(float64(len(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))))
	return err
}

// fileError is a mistake in a file, which a retry does not fix.
type fileError struct{ error }

func (m fileError) Unwrap() error { return m.error }

func onlyMistakes(errs []error) bool {
	return !slices.ContainsFunc(errs, func(err error) bool {
		_, is := errors.AsType[fileError](err)
		return err != nil && !is
	})
}

// read lists the pipelines' files, with a digest of all they hold. Names that
// begin with a dot are how a ConfigMap is mounted.
func (d *folder) read() (files []string, sum [sha256.Size]byte, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, sum, fmt.Errorf("read the folder of pipelines: %w", err)
	}
	h := sha256.New()
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		file := filepath.Join(d.path, e.Name())
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || info.Size() > largestFile {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, sum, fmt.Errorf("read the folder of pipelines: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(content))
		h.Write(content)
		if strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, bundleSuffix) {
			files = append(files, file)
		}
	}
	return files, [sha256.Size]byte(h.Sum(nil)), nil
}

func (d *folder) configure(ctx context.Context, file string) error {
	l, err := d.load(file)
	if err != nil {
		return fileError{err}
	}
	l.Dir = "" // the trainer comes in an image
	return Configure(ctx, d.f.deps, l)
}

func (d *folder) load(file string) (*config.Loaded, error) {
	name, bundled := strings.CutSuffix(filepath.Base(file), bundleSuffix)
	if !bundled {
		return config.Load(file)
	}
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	l, err := config.ReadBundle(r, filepath.Join(d.f.deps.Dir, "pipelines", name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}
