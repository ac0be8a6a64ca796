package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ignore "github.com/sabhiram/go-gitignore"
)

// File is one file of a trainer's code.
type File struct {
	// Path is relative to the pipeline's folder, with slashes.
	Path string
	// Size is in bytes.
	Size int64
	// Digest is the hex SHA-256 of the bytes, or of a link's target.
	Digest string
}

// Limits of a trainer, which is code without data. A larger folder is reported
// as a mistake instead of being hashed.
const (
	maxTrainerFiles = 10_000
	maxTrainerBytes = 1 << 30
)

// notCode lists files and folders that are not a trainer's code and that change
// as trainers run.
var notCode = []string{".venv", ".git", "__pycache__", ".ipynb_checkpoints", ".DS_Store"}

// TrainerFiles returns the files of the trainer's code, sorted by path, and their
// digest. They are the files of the pipeline's folder except .venv and the like
// and those that a .gitignore in the folder or above it in the repository names.
// The pipeline file is not one of them: its meaning is in the configuration's
// digest, and a changed comment is not another trainer. Links are not followed.
func TrainerFiles(dir string) ([]File, string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", fmt.Errorf("list trainer files: %w", err)
	}
	rules := ignoresAbove(dir)
	var files []File
	var total int64
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && (slices.Contains(notCode, e.Name()) || rules.ignored(path, e.IsDir())) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			if path != dir {
				rules = append(rules, ignoresOf(path)...)
			}
			return nil
		}
		if path == filepath.Join(dir, FileName) {
			return nil
		}
		f, err := trainerFile(dir, path, e)
		if err != nil || f.Path == "" {
			return err
		}
		files = append(files, f)
		if total += f.Size; len(files) > maxTrainerFiles || total > maxTrainerBytes {
			return fmt.Errorf("%s has more than %d files or 1 GiB; name data and results in .gitignore", dir, maxTrainerFiles)
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list trainer files: %w", err)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range files {
		part(h, f.Path, []byte(f.Digest))
	}
	return files, hex.EncodeToString(h.Sum(nil)), nil
}

// trainerFile describes one file or link. For anything else, Path is "".
func trainerFile(dir, path string, e fs.DirEntry) (File, error) {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return File{}, err
	}
	f := File{Path: filepath.ToSlash(rel)}
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		sum := sha256.Sum256([]byte("link " + target))
		f.Digest = hex.EncodeToString(sum[:])
		return f, err
	case e.Type().IsRegular():
		info, err := e.Info()
		if err != nil {
			return File{}, err
		}
		f.Size = info.Size()
		f.Digest, err = fileDigest(path)
		return f, err
	}
	return File{}, nil
}

// ignores has the .gitignore files that apply to a folder, outermost first.
type ignores []ignoreFile

type ignoreFile struct {
	dir   string
	rules *ignore.GitIgnore
}

// ignoresAbove reads the .gitignore of a folder and of those above it in its
// repository.
func ignoresAbove(dir string) ignores {
	var all ignores
	top := dir
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			top = d
			break
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	for d := dir; ; d = filepath.Dir(d) {
		all = append(ignoresOf(d), all...)
		if d == top {
			return all
		}
	}
}

func ignoresOf(dir string) ignores {
	text, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(text), "\n")
	return ignores{{dir: dir, rules: ignore.CompileIgnoreLines(lines...)}}
}

// ignored reports whether a path is ignored. The innermost .gitignore with a
// matching pattern decides.
func (all ignores) ignored(path string, folder bool) bool {
	for _, i := range slices.Backward(all) {
		rel, err := filepath.Rel(i.dir, path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		rel = filepath.ToSlash(rel)
		if folder {
			rel += "/"
		}
		if named, how := i.rules.MatchesPathHow(rel); how != nil {
			return named
		}
	}
	return false
}
