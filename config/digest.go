package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"slices"
)

// digest returns the hex SHA-256 of what the pipeline means. Each part is
// preceded by its name and length, so that different pipelines never hash the
// same bytes.
func (l *Loaded) digest() (string, error) {
	meaning := *l.Pipeline
	meaning.Metadata = Metadata{Name: l.Pipeline.Metadata.Name}
	h := sha256.New()
	part(h, "pipeline", meaning.JSON())
	if err := l.partPrepared(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ContractDigest returns the hex SHA-256 of what the pipeline file says of one
// upload: how it is read, and what its partition must be. Which uploads there are,
// and what is made of the dataset, do not count. Prepare and tables are other
// files: see PreparedDigest.
func (p *Pipeline) ContractDigest() string {
	d := p.Spec.Data // a copy
	columns := make(map[string]Column, len(d.Columns))
	for name, c := range d.Columns {
		c.Description = ""
		columns[name] = c
	}
	// Maps are written in the order of their keys, and every value can be written.
	d.Columns = columns
	d.Uploads, d.Prepare, d.Key, d.Compare, d.Expect = nil, "", nil, Compare{}, Expect{}
	d.Window, d.Holdout, d.Labels = Window{}, Holdout{}, Labels{}
	meaning, _ := json.Marshal(d)
	sum := sha256.Sum256(meaning)
	return hex.EncodeToString(sum[:])
}

// PreparedDigest returns the hex SHA-256 of the pipeline's prepare and its tables,
// "" if it has no prepare.
func (l *Loaded) PreparedDigest() (string, error) {
	if l.Prepare == "" {
		return "", nil
	}
	h := sha256.New()
	if err := l.partPrepared(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (l *Loaded) partPrepared(h hash.Hash) error {
	part(h, "prepare", []byte(l.Prepare))
	for _, name := range slices.Sorted(maps.Keys(l.Tables)) {
		sum, err := fileDigest(l.Tables[name])
		if err != nil {
			return fmt.Errorf("read table %s: %w", name, err)
		}
		part(h, "table "+name, []byte(sum))
	}
	return nil
}

func part(h hash.Hash, name string, content []byte) {
	fmt.Fprintf(h, "%s %d\n", name, len(content))
	h.Write(content)
}

// fileDigest returns the hex SHA-256 of a file's bytes.
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
