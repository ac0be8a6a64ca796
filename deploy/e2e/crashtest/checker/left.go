package checker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Left looks at the folder of a Millrace that has been stopped when nothing was
// under way: its artifacts are whole and are those that the log refers to, and
// nothing unfinished remains.
func Left(dir string, log []Event) ([]Violation, error) {
	have := map[string]int64{}
	var out []Violation
	bad := func(sequence uint64, rule, what string) { out = append(out, Violation{sequence, rule, what}) }
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		digits, stored := strings.CutPrefix(filepath.ToSlash(name), "artifacts/sha256/")
		switch {
		case stored:
			digest, size, err := digestOf(path)
			if err != nil {
				return err
			}
			if base := filepath.Base(digits); !strings.HasPrefix(base, digest) {
				bad(0, "an artifact is what its name says", name+" has the digest "+digest)
			}
			have["sha256:"+digest] = size
		case !rest.MatchString(filepath.ToSlash(name)):
			bad(0, "nothing unfinished remains", name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, e := range log {
		var data any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, err
		}
		refs(data, func(r ref) {
			if size, ok := have[r.Digest]; !ok || size != r.Size {
				bad(e.Sequence, "what an event refers to is there", e.Kind()+" of "+e.Pipeline+" refers to "+r.Digest)
			}
		})
	}
	return out, nil
}

// rest are the files of a Millrace at rest besides its artifacts: the log, and
// what spares work and may be lost.
var rest = regexp.MustCompile(`^(log/.*|token` +
	`|work/validate/findings/[0-9a-f]{32}` +
	`|work/evaluate/[0-9a-f]{32}\.evaluation\.json` +
	`|work/train-launcher/splits/[0-9a-f]{64}\.json` +
	`|work/ingest/bundles/[0-9a-f]{64}/.*)$`)

func digestOf(path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, errors.Join(err, f.Close())
}

// refs finds the references to artifacts, wherever in the data they are: what
// has a URL, a digest and a size.
func refs(v any, found func(ref)) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			refs(x, found)
		}
	case map[string]any:
		digest, _ := v["digest"].(string)
		size, sized := v["size"].(float64)
		if url, _ := v["url"].(string); url != "" && digest != "" && sized {
			found(ref{url, digest, int64(size)})
		}
		for _, x := range v {
			refs(x, found)
		}
	}
}

// Orphans are the processes that work in the folder: by their arguments, their
// environment or their working folder. The caller itself does not count.
func Orphans(dir string) ([]Violation, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []Violation
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		at := filepath.Join("/proc", e.Name())
		arguments, _ := os.ReadFile(filepath.Join(at, "cmdline")) // gone, or another user's: not ours
		environment, _ := os.ReadFile(filepath.Join(at, "environ"))
		where, _ := os.Readlink(filepath.Join(at, "cwd"))
		if bytes.Contains(arguments, []byte(dir)) || bytes.Contains(environment, []byte(dir)) || strings.HasPrefix(where, dir) {
			out = append(out, Violation{Rule: "no process is left behind", What: e.Name() + " " + string(bytes.ReplaceAll(arguments, []byte{0}, []byte{' '}))})
		}
	}
	return out, nil
}
