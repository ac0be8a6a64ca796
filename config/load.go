package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"
)

// FileName is the name of a pipeline's file in its folder.
const FileName = "pipeline.yaml"

// Load reads a pipeline: a YAML file, or a folder that has a pipeline.yaml,
// with the prepare and the tables beside it. If the file has mistakes, the
// error is Problems, with all of them; what could be read is then returned too,
// to find more mistakes, unless the file is not YAML. Load writes nothing and
// runs no program except git.
func Load(path string) (*Loaded, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	file := path
	if info.IsDir() {
		file = filepath.Join(path, FileName)
	}
	source, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	d := newDecoder(file, false)
	l := &Loaded{Dir: filepath.Dir(file), File: file, decoder: d}
	l.Pipeline = d.pipeline(source)
	if l.Pipeline == nil {
		return nil, d.problems.sorted()
	}
	l.readBeside(d)
	if err := d.problems.sorted(); err != nil {
		return l, err
	}
	if l.Digest, err = l.digest(); err != nil {
		return nil, err
	}
	l.Commit = gitCommit(l.Dir)
	return l, nil
}

// Parse decodes and checks a pipeline's YAML alone, without the files beside it.
// Problems have name as their file.
func Parse(name string, source []byte) (*Pipeline, error) {
	d := newDecoder(name, false)
	p := d.pipeline(source)
	if err := d.problems.sorted(); err != nil {
		return nil, err
	}
	return p, nil
}

// pipeline decodes and checks a pipeline. It returns nil if the YAML cannot be
// parsed.
func (d *decoder) pipeline(source []byte) *Pipeline {
	root, problems := parseYAML(d.file, source)
	if root == nil {
		d.problems = problems
		return nil
	}
	d.where[""] = position{1, 1}
	p := new(Pipeline)
	d.object(root, reflect.ValueOf(p).Elem(), "")
	p.fill()
	(&checker{Pipeline: p, d: d}).check()
	d.problems = append(d.problems, problems...)
	if len(d.problems) == 0 && len(p.JSON()) > maxMeaning {
		d.problem("", "", nil, "has more than %d KiB with all its defaults; move long lists of values into a check", maxMeaning>>10)
	}
	return p
}

// maxMeaning bounds the canonical JSON: it travels in an event.
const maxMeaning = 512 << 10

// readFile reads at most maxFileBytes and one more byte, by which the caller
// detects a larger file.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// readBeside reads the prepare and finds the tables. Their mistakes are reported
// at the field prepare.
func (l *Loaded) readBeside(d *decoder) {
	name := l.Pipeline.Spec.Data.Prepare
	if name == "" {
		return
	}
	const field = "spec.data.prepare"
	root, err := os.OpenRoot(l.Dir)
	if err != nil {
		d.problem(field, "", nil, "%s", err)
		return
	}
	defer root.Close()
	if l.Prepare, err = readPrepare(root, name); err != nil {
		d.problem(field, "", nil, "%s", err)
	}
	if l.Tables, err = findTables(root, l.Dir); err != nil {
		d.problem(field, "", nil, "%s", err)
	}
}

// readPrepare reads the SQL file. An os.Root follows no link out of the
// folder.
func readPrepare(root *os.Root, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%q is not inside the pipeline's folder", name)
	}
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%q does not exist; it must be beside the pipeline file", name)
	case err != nil:
		return "", fmt.Errorf("%q leads out of the pipeline's folder or cannot be read: %w", name, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%q is not a file", name)
	case info.Size() > maxFileBytes:
		return "", fmt.Errorf("%q is larger than 1 MiB", name)
	}
	text, err := root.ReadFile(name)
	switch {
	case err != nil:
		return "", err
	case len(text) > maxFileBytes:
		return "", fmt.Errorf("%q is larger than 1 MiB", name)
	case !utf8.Valid(text) || bytes.ContainsRune(text, 0):
		return "", fmt.Errorf("%q is not UTF-8 text", name)
	case len(bytes.TrimSpace(text)) == 0:
		return "", fmt.Errorf("%q is empty", name)
	}
	return string(text), nil
}

// Tables must be small, since they are part of the configuration's bundle.
const (
	tablesDir     = "tables"
	maxTables     = 32
	maxTableBytes = 64 << 20
)

var (
	tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)
	tableExts = map[string]bool{".csv": true, ".parquet": true, ".json": true, ".jsonl": true}
)

// findTables returns the tables in a folder by name. It ignores other files.
func findTables(root *os.Root, dir string) (map[string]string, error) {
	entries, err := fs.ReadDir(root.FS(), tablesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the folder tables: %w", err)
	}
	tables := map[string]string{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !tableExts[strings.ToLower(ext)] {
			continue
		}
		name, path := strings.TrimSuffix(e.Name(), ext), filepath.Join(tablesDir, e.Name())
		info, err := root.Stat(path)
		lower := strings.ToLower(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the table %s leads out of the pipeline's folder or cannot be read", path)
		case !info.Mode().IsRegular():
			continue
		case info.Size() > maxTableBytes:
			return nil, fmt.Errorf("the table %s is larger than %d MiB", path, maxTableBytes>>20)
		case !tableName.MatchString(name):
			return nil, fmt.Errorf("the table %s has a name that SQL would have to quote; use letters, digits and _", path)
		case lower == "upload" || lower == "dataset":
			return nil, fmt.Errorf("the table %s has a name that is reserved in prepare", path)
		}
		for other := range tables {
			if strings.EqualFold(other, name) {
				return nil, fmt.Errorf("the tables %s and %s have the same name", tables[other], filepath.Join(dir, path))
			}
		}
		if len(tables) == maxTables {
			return nil, fmt.Errorf("the folder tables has more than %d tables", maxTables)
		}
		tables[name] = filepath.Join(dir, path)
	}
	return tables, nil
}
