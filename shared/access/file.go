package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// MinLength is how many characters a token has at least. 32 hexadecimal digits
// are 128 random bits.
const MinLength = 32

// prefix marks a token of Millrace, for scanners that look for leaked secrets.
const prefix = "mlr_"

// NewToken returns a token of 256 random bits.
func NewToken() string { return prefix + rand.Text() + rand.Text() }

// File is the content of an access file: which tokens there are, and what they
// may do.
type File struct {
	Tokens []Token `json:"tokens,omitempty"`
}

// Token is a named token, by its digest.
type Token struct {
	Grant
	// Digest of the token: sha256: and hexadecimal digits.
	Digest  string    `json:"digest"`
	Created time.Time `json:"created,omitzero"`
}

// Grant says what a token may do.
type Grant struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
	// Pipelines that the roles are for; empty for all.
	Pipelines []string `json:"pipelines,omitempty"`
}

// Digest returns the digest of a token as an access file has it.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

var (
	tokenName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$`)
	digestText = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// Validate reports every mistake at once.
func (f File) Validate() error {
	var errs []error
	names, digests := map[string]bool{}, map[string]bool{}
	for i, t := range f.Tokens {
		at := fmt.Sprintf("token %d (%.63s)", i+1, t.Name)
		if !tokenName.MatchString(t.Name) {
			errs = append(errs, fmt.Errorf("%s: a name has 1 to 63 letters, digits and . _ @ -, and begins with a letter or digit", at))
		}
		if names[t.Name] {
			errs = append(errs, fmt.Errorf("%s: another token has the same name", at))
		}
		switch {
		case !digestText.MatchString(t.Digest):
			errs = append(errs, fmt.Errorf("%s: digest is not sha256: and 64 hexadecimal digits", at))
		case digests[t.Digest]:
			errs = append(errs, fmt.Errorf("%s: another token has the same digest", at))
		}
		names[t.Name], digests[t.Digest] = true, true
		errs = append(errs, t.validate(at))
	}
	return errors.Join(errs...)
}

func (g Grant) validate(at string) error {
	var errs []error
	if len(g.Roles) == 0 {
		errs = append(errs, fmt.Errorf("%s: roles are missing; the roles are %s", at, strings.Join(RoleNames, ", ")))
	}
	if _, err := ParseRoles(g.Roles); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", at, err))
	}
	if slices.Contains(g.Pipelines, "") {
		errs = append(errs, fmt.Errorf("%s: a pipeline has no name", at))
	}
	return errors.Join(errs...)
}

// ReadFile reads an access file, whose mode it checks. It reports every mistake
// at once.
func ReadFile(path string) (File, error) {
	var f File
	b, err := readSecret(path)
	if err != nil {
		return f, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("%s is not an access file: %w", path, err)
	}
	if err := f.Validate(); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// WriteFile replaces an access file at once, readable by its owner only.
func WriteFile(path string, f File) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return writeSecret(path, append(b, '\n'))
}

// WriteToken writes a token into a file that only its owner can read.
func WriteToken(path, token string) error { return writeSecret(path, []byte(token+"\n")) }

func writeSecret(path string, content []byte) error {
	t, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	if _, err := t.Write(content); err != nil {
		return errors.Join(err, t.Close())
	}
	if err := errors.Join(t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}

// maxFile bounds a file of tokens; a Secret has at most 1 MiB.
const maxFile = 1 << 20

// ReadTokenFile reads a token from a file, whose mode it checks.
func ReadTokenFile(path string) (string, error) {
	b, err := readSecret(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if err := checkToken(token); err != nil {
		return "", fmt.Errorf("the token in %s %w", path, err)
	}
	return token, nil
}

// checkToken returns what is wrong with a token.
func checkToken(token string) error {
	switch {
	case len(token) < MinLength:
		return fmt.Errorf("has %d characters, so that it could be guessed: a token has at least %d; make one with: openssl rand -hex 32", len(token), MinLength)
	case strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r > unicode.MaxASCII }):
		return errors.New("has white space, control characters or characters other than ASCII, which a header cannot carry")
	}
	return nil
}

// readSecret reads a file that only its owner may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), maxFile)
	case info.Mode().Perm()&0o077 != 0 && !mountedSecret(path):
		return nil, fmt.Errorf("%s can be read or written by other users of this machine (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return os.ReadFile(path)
}

// mountedSecret reports whether the file is in a Secret that kubelet has
// mounted. Such a file is a link to ..data/NAME, and ..data a link to a folder
// that is swapped when the Secret changes. Its mode is 0644 or, with fsGroup,
// 0440, since it belongs to root; only the containers that mount it can see it.
func mountedSecret(path string) bool {
	to, err := os.Readlink(path)
	if err != nil || to != filepath.Join("..data", filepath.Base(path)) {
		return false
	}
	info, err := os.Lstat(filepath.Join(filepath.Dir(path), "..data"))
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
