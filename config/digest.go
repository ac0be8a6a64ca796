package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"slices"
)

// digest is the hex SHA-256 of what the pipeline means. Each part stands
// behind its name and length, so that no two pipelines run together.
func (l *Loaded) digest() (string, error) {
	meaning := *l.Pipeline
	meaning.Metadata = Metadata{Name: l.Pipeline.Metadata.Name}
	h := sha256.New()
	part(h, "pipeline", meaning.JSON())
	part(h, "prepare", []byte(l.Prepare))
	for _, name := range slices.Sorted(maps.Keys(l.Tables)) {
		sum, err := fileDigest(l.Tables[name])
		if err != nil {
			return "", fmt.Errorf("read table %s: %w", name, err)
		}
		part(h, "table "+name, []byte(sum))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func part(h hash.Hash, name string, content []byte) {
	fmt.Fprintf(h, "%s %d\n", name, len(content))
	h.Write(content)
}

// fileDigest is the hex SHA-256 of a file's bytes.
func fileDigest(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
