package config

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A bundle is the form in which a pipeline reaches the functions: a gzipped tar of
//
//	bundle.json     the canonical JSON and the digest
//	pipeline.yaml   the file as the user wrote it
//	prepare.sql     the prepare, if any
//	tables/*        the tables, if any
//
// in this order, without times and owners, so that the same folder always
// results in the same bytes. The trainer is not part of it. Readers use only
// bundle.json, so that a pipeline that was valid when it was loaded stays
// readable if a later version checks more.
const (
	bundleJSON     = "bundle.json"
	bundlePrepare  = "prepare.sql"
	maxBundleBytes = 512 << 20
)

type bundleHeader struct {
	Digest   string          `json:"digest"`
	Pipeline json.RawMessage `json:"pipeline"`
}

// Bundle writes the pipeline's bundle. The same files result in the same bytes.
func Bundle(l *Loaded, w io.Writer) error {
	source, err := readFile(l.File)
	if err != nil {
		return fmt.Errorf("bundle pipeline %s: %w", l.Pipeline.Name(), err)
	}
	var head bytes.Buffer
	enc := json.NewEncoder(&head)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(bundleHeader{Digest: l.Digest, Pipeline: l.Pipeline.JSON()}); err != nil {
		return fmt.Errorf("bundle pipeline %s: %w", l.Pipeline.Name(), err)
	}
	zw := gzip.NewWriter(w)
	tw := tar.NewWriter(zw)
	err = errors.Join(
		writeEntry(tw, bundleJSON, head.Bytes()),
		writeEntry(tw, FileName, source),
	)
	if l.Prepare != "" {
		err = errors.Join(err, writeEntry(tw, bundlePrepare, []byte(l.Prepare)))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Tables)) {
		err = errors.Join(err, writeTable(tw, l.Tables[name]))
	}
	if err := errors.Join(err, tw.Close(), zw.Close()); err != nil {
		return fmt.Errorf("bundle pipeline %s: %w", l.Pipeline.Name(), err)
	}
	return nil
}

func entryHeader(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
}

func writeEntry(tw *tar.Writer, name string, content []byte) error {
	if err := tw.WriteHeader(entryHeader(name, int64(len(content)))); err != nil {
		return err
	}
	_, err := tw.Write(content)
	return err
}

func writeTable(tw *tar.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(entryHeader(path.Join(tablesDir, filepath.Base(file)), info.Size())); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}

// ReadBundle unpacks a bundle into a folder, which it creates, and returns the
// pipeline. Digest is that of the bundle; Commit is empty, since a bundle does
// not have it. Unpacking into the same folder again writes the same files.
// ReadBundle refuses what Bundle never writes: other names, links, more than
// 512 MiB.
func ReadBundle(r io.Reader, dir string) (*Loaded, error) {
	l, err := readBundle(r, dir)
	if err != nil {
		return nil, fmt.Errorf("read pipeline bundle: %w", err)
	}
	return l, nil
}

func readBundle(r io.Reader, dir string) (*Loaded, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := &Loaded{Dir: dir, File: filepath.Join(dir, FileName)}
	tr := tar.NewReader(io.LimitReader(zr, maxBundleBytes))
	for first := true; ; first = false {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) && !first {
			return l, nil
		}
		if err != nil {
			return nil, noEOF(err)
		}
		if first != (h.Name == bundleJSON) {
			return nil, fmt.Errorf("%s must be its first file, and occur once", bundleJSON)
		}
		if err := l.unpack(root, h, tr); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// noEOF returns the error of a truncated bundle instead of io.EOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unpack reads one entry of a bundle into l and its folder.
func (l *Loaded) unpack(root *os.Root, h *tar.Header, r io.Reader) error {
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("is not a file")
	}
	if folder, base := path.Split(h.Name); folder == tablesDir+"/" {
		return l.unpackTable(root, base, h, r)
	}
	if h.Size > 4*maxFileBytes {
		return fmt.Errorf("is larger than %d MiB", 4*maxFileBytes>>20)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return noEOF(err)
	}
	switch h.Name {
	case bundleJSON:
		var head bundleHeader
		if err := json.Unmarshal(content, &head); err != nil {
			return err
		}
		l.Digest = head.Digest
		l.Pipeline, err = FromJSON(head.Pipeline)
		return err
	case FileName:
		return root.WriteFile(FileName, content, 0o644)
	case bundlePrepare:
		l.Prepare = string(content)
		return root.WriteFile(bundlePrepare, content, 0o644)
	}
	return fmt.Errorf("is not part of a bundle")
}

func (l *Loaded) unpackTable(root *os.Root, base string, h *tar.Header, r io.Reader) error {
	name := strings.TrimSuffix(base, path.Ext(base))
	if !tableExts[strings.ToLower(path.Ext(base))] || !tableName.MatchString(name) || h.Size > maxTableBytes || len(l.Tables) == maxTables {
		return fmt.Errorf("is not a table of a pipeline")
	}
	if err := root.MkdirAll(tablesDir, 0o755); err != nil {
		return err
	}
	f, err := root.Create(filepath.Join(tablesDir, base))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return noEOF(err)
	}
	if l.Tables == nil {
		l.Tables = map[string]string{}
	}
	l.Tables[name] = filepath.Join(l.Dir, tablesDir, base)
	return nil
}
