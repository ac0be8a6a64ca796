package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	xmodule "golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// publish writes the module to the folder of a module proxy, in the layout of
// GOPROXY=file://..., and returns its lines for a go.sum.
func (m *module) publish(version, proxy string, now time.Time) ([]string, error) {
	escaped, err := xmodule.EscapePath(m.path())
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for everybody
		return nil, err
	}
	put := func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(dir, name), content, 0o644) //nolint:gosec // for everybody
	}
	var archive bytes.Buffer
	if err := zip.CreateFromDir(&archive, xmodule.Version{Path: m.path(), Version: version}, filepath.Dir(m.at("go.mod"))); err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(m.at("go.mod"))
	if err != nil {
		return nil, err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, now.UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		version + ".zip": archive.Bytes(), version + ".mod": mod, version + ".info": info, "list": []byte(version + "\n"),
	} {
		if err := put(name, content); err != nil {
			return nil, err
		}
	}
	whole, err := dirhash.HashZip(filepath.Join(dir, version+".zip"), dirhash.Hash1)
	if err != nil {
		return nil, err
	}
	alone, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(mod)), nil })
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf("%s %s %s", m.path(), version, whole),
		fmt.Sprintf("%s %s/go.mod %s", m.path(), version, alone),
	}, nil
}
