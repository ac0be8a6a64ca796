package validate

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cache keeps values as JSON files in a folder. Files appear whole; one that
// is missing or cannot be read is a value that has to be computed.
type cache struct{ dir string }

// newFile begins the name of a file that is being written.
const newFile = ".new-"

// openCache makes the folder and leaves the newest files in it. What a killed
// process was writing is removed.
func openCache(dir string, keep int) (cache, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return cache{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return cache{}, err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
		case strings.HasPrefix(e.Name(), newFile):
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return cache{}, err
			}
		default:
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, old := range files[min(keep, len(files)):] {
		if err := os.Remove(filepath.Join(dir, old.Name())); err != nil {
			return cache{}, err
		}
	}
	return cache{dir}, nil
}

// get reads the value of a key, which is a plain file name, into v.
func (c cache) get(key string, v any) bool {
	b, err := os.ReadFile(filepath.Join(c.dir, key))
	return err == nil && json.Unmarshal(b, v) == nil
}

func (c cache) put(key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, newFile+"*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if _, err := temp.Write(b); err != nil {
		temp.Close()
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), filepath.Join(c.dir, key))
}
