package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"millrace.dev/shared/onnxfile"
)

// checkExternal makes sure that the tensors which lie in other files lie in files of the model's folder, and wholly so.
// ONNX Runtime maps these files into memory: a path that leads out of the folder would make any file of the machine part
// of a model, so links are followed before they are judged.
func checkExternal(folder string, external []onnxfile.External) error {
	if len(external) == 0 {
		return nil
	}
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return fmt.Errorf("find the model's folder: %w", err)
	}
	sizes := map[string]int64{} // by location; a model has few data files and many tensors
	refused := map[string]bool{}
	var errs []error
	for _, e := range external {
		if refused[e.Location] {
			continue
		}
		size, known := sizes[e.Location]
		if !known {
			if size, err = externalSize(real, e.Location); err != nil {
				refused[e.Location] = true
				errs = append(errs, err)
				continue
			}
			sizes[e.Location] = size
		}
		if err := checkRange(e, size); err != nil {
			refused[e.Location] = true
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// externalSize returns the size of the data file at location, a path relative to folder, which has no links in it.
func externalSize(folder, location string) (int64, error) {
	// The runtime takes a location that begins with "*/" for an address in memory.
	if !filepath.IsLocal(location) || strings.HasPrefix(location, "*/") {
		return 0, fmt.Errorf("external data %q leaves the model's folder: it must be the name of a file beside the model", location)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(folder, location))
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("external data %q is missing: it must lie beside the model", location)
	}
	if err != nil {
		return 0, fmt.Errorf("find external data %q: %w", location, err)
	}
	if rel, err := filepath.Rel(folder, path); err != nil || !filepath.IsLocal(rel) {
		return 0, fmt.Errorf("external data %q is a link that leaves the model's folder", location)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("find external data %q: %w", location, err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("external data %q is not an ordinary file", location)
	}
	return info.Size(), nil
}

// checkRange makes sure that the tensor's bytes are within a file of the given size.
func checkRange(e onnxfile.External, size int64) error {
	offset, err1 := externalNumber(e.Offset)
	length, err2 := externalNumber(e.Length)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("external data %q: tensor %q has offset %q and length %q, which are not numbers", e.Location, e.Tensor, e.Offset, e.Length)
	}
	if offset > size || length > size-offset {
		return fmt.Errorf("external data %q has %d bytes, but tensor %q is said to be %d bytes from byte %d: the file is cut short or of another model",
			e.Location, size, e.Tensor, length, offset)
	}
	return nil
}

func externalNumber(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n < 0 {
		err = strconv.ErrRange
	}
	return n, err
}
