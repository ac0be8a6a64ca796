package events

import (
	"errors"
	"fmt"
	"strings"
)

// Ref points to bytes in the artifact store. The digest names them; the URL
// says where they were put.
type Ref struct {
	// URL is where the bytes lie, relative to the artifact store or absolute.
	URL string `json:"url"`
	// Digest is "sha256:" and 64 hex digits.
	Digest string `json:"digest"`
	// Size in bytes.
	Size int64 `json:"size"`
}

// IsZero tells that the reference points to nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// Short is the beginning of the digest, for people and subjects.
func (r Ref) Short() string { return Short(r.Digest) }

// Short is the first 12 hex digits of a digest, without its algorithm.
func Short(digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	return d[:min(12, len(d))]
}

// Validate reports what is wrong with the reference.
func (r Ref) Validate() error {
	hex, ok := strings.CutPrefix(r.Digest, "sha256:")
	switch {
	case r.URL == "":
		return errors.New("url is missing")
	case !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "":
		return fmt.Errorf("digest %q is not sha256: and 64 lower-case hex digits", r.Digest)
	case r.Size < 0:
		return fmt.Errorf("size %d is negative", r.Size)
	}
	return nil
}

// mistakes collects what Validate finds, each under its field's name.
type mistakes []error

func (m *mistakes) add(ok bool, format string, args ...any) {
	if !ok {
		*m = append(*m, fmt.Errorf(format, args...))
	}
}

func (m *mistakes) required(field, value string) {
	m.add(value != "", "%s is missing", field)
}

func (m *mistakes) ref(field string, r Ref) {
	if err := r.Validate(); err != nil {
		*m = append(*m, fmt.Errorf("%s: %w", field, err))
	}
}

func (m mistakes) err() error { return errors.Join(m...) }
