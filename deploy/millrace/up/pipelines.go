package up

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"millrace.dev/config"
	"millrace.dev/events"
	"millrace.dev/functions/gateway"
	"millrace.dev/shared/eventlog"
)

// loadPipelines loads each folder's pipeline, or the pipelines in its folders.
// It reports the mistakes of all of them at once.
func loadPipelines(folders []string) ([]*config.Loaded, error) {
	var (
		out  []*config.Loaded
		errs []error
		seen = map[string]string{}
	)
	for _, folder := range folders {
		found, err := pipelineFolders(folder)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, dir := range found {
			l, err := config.Load(dir)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if l.Dir, err = filepath.Abs(l.Dir); err != nil {
				errs = append(errs, err)
				continue
			}
			if other, ok := seen[l.Pipeline.Name()]; ok {
				errs = append(errs, fmt.Errorf("%s and %s are both of the name %s; names of pipelines are their own", other, l.File, l.Pipeline.Name()))
			}
			seen[l.Pipeline.Name()] = l.File
			out = append(out, l)
		}
	}
	return out, errors.Join(errs...)
}

func pipelineFolders(folder string) ([]string, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, fmt.Errorf("pipelines: %w", err)
	}
	if !info.IsDir() {
		return []string{folder}, nil
	}
	if _, err := os.Stat(filepath.Join(folder, config.FileName)); err == nil {
		return []string{folder}, nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*", config.FileName))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no %s, and neither has a folder in it", folder, config.FileName)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files, nil
}

// configure announces a pipeline's configuration when it differs from the one
// in the log.
func (s *system) configure(ctx context.Context, l *config.Loaded) error {
	name := l.Pipeline.Name()
	before, err := s.states.Load(ctx, name)
	if err != nil {
		return err
	}
	if before.Configured.Digest == l.Digest && before.Configured.Dir == l.Dir {
		return nil
	}
	var bundle bytes.Buffer
	if err := config.Bundle(l, &bundle); err != nil {
		return fmt.Errorf("bundle %s: %w", l.File, err)
	}
	ref, err := s.artifacts.PutBytes(ctx, bundle.Bytes(), ".tar.gz")
	if err != nil {
		return fmt.Errorf("store the bundle of %s: %w", name, err)
	}
	// The configuration may come back to what it was: what it was before is
	// part of the cause.
	_, err = s.log.Append(ctx, eventlog.Commit{
		Pipeline: name, Function: gateway.Name,
		Cause: events.Cause("configured", name, l.Digest, l.Dir, before.Configured.Digest, before.Configured.Time.String()),
		Data: []events.Data{events.PipelineConfigured{
			Digest: l.Digest, Bundle: ref, Spec: l.Pipeline.JSON(), Dir: l.Dir, Commit: l.Commit,
		}},
	})
	return err
}
