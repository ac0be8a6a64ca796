package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"millrace.dev/config"
)

// loadPipelines loads the pipeline in each folder, or those in its subfolders.
// It reports all mistakes at once.
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
				errs = append(errs, fmt.Errorf("%s and %s both have the name %s; names of pipelines must be unique", other, l.File, l.Pipeline.Name()))
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
		return nil, fmt.Errorf("%s has no %s, nor has a folder in it", folder, config.FileName)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files, nil
}
