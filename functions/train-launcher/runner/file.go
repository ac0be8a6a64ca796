package runner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// SpoiledError says that a trainer has put something into its run's folder
// that cannot be read as what has to be there: a link, a named pipe, a folder,
// a file that its owner may not read. It stays like that, so a second look is
// of no use.
type SpoiledError struct {
	// Name is relative to the run's folder.
	Name string
	// Problem completes the sentence "Name ...".
	Problem string
}

func (e *SpoiledError) Error() string {
	if e.Name == "." {
		return "the run's folder " + e.Problem
	}
	return e.Name + " in the run's folder " + e.Problem
}

// Result is the run's end when it fails because of the error.
func (e *SpoiledError) Result() Result {
	return Result{Reason: e.Error(), Hint: "the trainer has to leave regular files in MILLRACE_OUTPUT, and nothing else in the folder around it"}
}

// Open opens a regular file of the folder for reading; name is relative to it.
// No link is followed out of the folder, none in the place of the file, and
// nothing that is not a regular file is opened, so that it neither blocks nor
// reads from elsewhere. The error is one of fs.ErrNotExist, a *SpoiledError,
// or one of the machine.
func (f Folder) Open(name string) (*os.File, error) { return f.open(name, os.O_RDONLY) }

// Append opens a file of the folder for appending. What is in its place and is
// no regular file is removed.
func (f Folder) Append(name string) (*os.File, error) {
	file, err := f.open(name, os.O_WRONLY|os.O_APPEND)
	if _, spoiled := errors.AsType[*SpoiledError](err); spoiled || errors.Is(err, fs.ErrNotExist) {
		return f.make(name)
	}
	return file, err
}

// make makes an empty file in the place of whatever is there.
func (f Folder) make(name string) (*os.File, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.RemoveAll(name); err != nil {
		return nil, err
	}
	return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

// put makes a file with the text in the place of whatever is there.
func (f Folder) put(name string, text []byte) error {
	file, err := f.make(name)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// rename gives a file another name, in the place of whatever has it.
func (f Folder) rename(from, to string) error {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return err
	}
	defer root.Close()
	if info, err := root.Lstat(to); err == nil && info.IsDir() {
		if err := root.RemoveAll(to); err != nil {
			return err
		}
	}
	return root.Rename(from, to)
}

func (f Folder) open(name string, flag int) (*os.File, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, spoiled(".", err)
	}
	defer root.Close()
	seen, err := root.Lstat(name)
	if err != nil {
		return nil, spoiled(name, err)
	}
	if !seen.Mode().IsRegular() {
		return nil, irregular(name, seen.Mode())
	}
	// What is put in the file's place meanwhile neither blocks nor is taken.
	file, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, spoiled(name, err)
	}
	if info, err := file.Stat(); err != nil || !os.SameFile(seen, info) {
		return nil, errors.Join(&SpoiledError{name, "was replaced while it was opened"}, file.Close())
	}
	return file, nil
}

// spoiled tells what a trainer did from what befell the machine.
func spoiled(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, machine := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE, syscall.ENOSPC, syscall.EINTR} {
		if errors.Is(err, machine) {
			return err
		}
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return &SpoiledError{name, "cannot be opened: " + err.Error()}
}

func irregular(name string, mode fs.FileMode) *SpoiledError {
	kind := "something special"
	switch {
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	case mode.IsDir():
		kind = "a folder"
	}
	return &SpoiledError{name, "is " + kind + ", not a regular file"}
}

// Files lists what is in the output folder: the regular files, in order, and
// the first thing that is neither one nor a folder, nil without one. Names
// are relative to the output folder, with slashes. A folder that is gone has no
// files.
func (f Folder) Files() (names []string, other, err error) {
	root, err := os.OpenRoot(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, spoiled(".", err)
	}
	defer root.Close()
	output := filepath.Base(f.Output())
	info, err := root.Lstat(output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, spoiled(output, err)
	case !info.IsDir():
		return nil, nil, &SpoiledError{output, "is not a folder any more"}
	}
	err = fs.WalkDir(root.FS(), output, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return spoiled(name, err)
		case e.Type().IsRegular():
			names = append(names, strings.TrimPrefix(name, output+"/"))
		case !e.IsDir() && other == nil:
			other = irregular(name, e.Type())
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = &SpoiledError{output, "changes while it is read"}
	}
	return names, other, err
}

// bytes reads a whole file, of at most limit bytes.
func (f Folder) bytes(name string, limit int64) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if int64(len(b)) > limit {
		return nil, &SpoiledError{name, fmt.Sprintf("has more than %d bytes", limit)}
	}
	return b, err
}
