// Package model prepares a registered model for loading: it places the model's
// files in one folder, and derives the contract that the model must keep from
// the pipeline's configuration and the profile of its rows. It is shared by
// the functions that evaluate a model and that serve it, so that what one
// takes the other takes too.
package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace.dev/events"
	"millrace.dev/shared/artifact"
)

// File is the name of the file that is the model; the files beside it are its
// external data.
const File = "model.onnx"

// UnusableError says why a model's files cannot be loaded, for the person who
// made the model. Another attempt does not help.
type UnusableError struct{ Reason string }

func (e *UnusableError) Error() string { return e.Reason }

func unusable(format string, args ...any) error {
	return &UnusableError{fmt.Sprintf(format, args...)}
}

// Placed is a model whose files lie on the local disk.
type Placed struct {
	// Path is the model's main file.
	Path string
	// folder is the temporary folder of a model of several files, "" for none.
	folder string
}

// Remove removes the files that were placed for this model alone. Files of the
// artifact store's cache stay.
func (p Placed) Remove() error {
	if p.folder == "" {
		return nil
	}
	return os.RemoveAll(p.folder)
}

// Place brings the model's files to the local disk. A single file is used where
// the artifact store keeps it; several files are placed beside each other in a
// temporary folder, which the caller removes with Remove. The main file is the
// one called File, else the first with the suffix .onnx, else the only one. A
// model without a main file, or with a file name that leaves the folder, is an
// UnusableError.
func Place(ctx context.Context, store *artifact.Store, m events.Model) (_ Placed, err error) {
	main, err := mainFile(m.Files)
	if err != nil {
		return Placed{}, err
	}
	if len(m.Files) == 1 {
		path, err := store.Path(ctx, m.Files[0].Ref)
		return Placed{Path: path}, err
	}
	folder, err := store.TempDir("model-*")
	if err != nil {
		return Placed{}, err
	}
	placed := Placed{Path: filepath.Join(folder, m.Files[main].Name), folder: folder}
	for _, file := range m.Files {
		if err := place(ctx, store, folder, file); err != nil {
			return Placed{}, errors.Join(err, placed.Remove())
		}
	}
	return placed, nil
}

// mainFile returns the index of the file that is the model.
func mainFile(files []events.File) (int, error) {
	if i := slices.IndexFunc(files, func(f events.File) bool { return f.Name == File }); i >= 0 {
		return i, nil
	}
	if i := slices.IndexFunc(files, func(f events.File) bool { return strings.HasSuffix(f.Name, ".onnx") }); i >= 0 {
		return i, nil
	}
	if len(files) == 1 {
		return 0, nil
	}
	return 0, unusable("none of its %d files is called %s", len(files), File)
}

func place(ctx context.Context, store *artifact.Store, folder string, file events.File) error {
	if !filepath.IsLocal(file.Name) {
		return unusable("the file name %q leads out of the model's folder", file.Name)
	}
	from, err := store.Path(ctx, file.Ref)
	if err != nil {
		return err
	}
	if err := linkOrCopy(from, filepath.Join(folder, file.Name)); err != nil {
		return fmt.Errorf("place %s of a model: %w", file.Name, err)
	}
	return nil
}

// linkOrCopy makes to the same file as from, by copying it where the file
// system has no hard links.
func linkOrCopy(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
