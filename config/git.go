package config

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// gitCommit is the commit a folder is at, with -dirty when something in it is
// not committed; empty when it is in no repository or there is no git. A
// folder's own configuration of git can name programs (filters, hooks,
// monitors, those of its submodules), so git compares files without it.
func gitCommit(dir string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// This reads where the repository is, and no file of it that a program of
	// its configuration would be asked about.
	found, err := git(ctx, dir, nil, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-path", "index", "--git-path", "objects",
		"--git-path", "info/exclude", "--show-object-format", "--verify", "HEAD")
	lines := strings.Split(found, "\n")
	if err != nil || len(lines) != 6 {
		return ""
	}
	r := gitRepository{top: lines[0], index: lines[1], objects: lines[2], exclude: lines[3], format: lines[4], commit: lines[5]}
	if r.changed(ctx, dir) {
		return r.commit + "-dirty"
	}
	return r.commit
}

// gitRepository is where the parts of a repository are, and its HEAD.
type gitRepository struct{ top, index, objects, exclude, format, commit string }

// plainSetting is how a repository says what its file system can do.
var plainSetting = regexp.MustCompile(`^core\.(filemode|symlinks|ignorecase|precomposeunicode|autocrlf|eol) ([a-z]{1,8})$`)

// changed reports whether something in dir is not committed, or cannot be told
// to be. The repository is looked at from a git folder that has no
// configuration but what is plain.
func (r gitRepository) changed(ctx context.Context, dir string) bool {
	own, err := os.MkdirTemp("", "millrace-git-*")
	if err != nil {
		return true
	}
	defer os.RemoveAll(own)
	text := "[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectformat = " + r.format + "\n"
	exclude, _ := os.ReadFile(r.exclude) // which need not be there
	for name, content := range map[string]string{"HEAD": r.commit + "\n", "config": text, "info/exclude": string(exclude), "refs/none": ""} {
		path := filepath.Join(own, filepath.FromSlash(name))
		if os.MkdirAll(filepath.Dir(path), 0o700) != nil || os.WriteFile(path, []byte(content), 0o600) != nil {
			return true
		}
	}
	var args []string
	plain, _ := git(ctx, dir, nil, "config", "--local", "--no-includes", "--get-regexp", `^core\.`)
	for line := range strings.Lines(plain) {
		if m := plainSetting.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			args = append(args, "-c", "core."+m[1]+"="+m[2])
		}
	}
	env := []string{"GIT_DIR=" + own, "GIT_WORK_TREE=" + r.top, "GIT_INDEX_FILE=" + r.index, "GIT_OBJECT_DIRECTORY=" + r.objects, "GIT_NO_LAZY_FETCH=1"}
	// A submodule has a configuration too: its commit counts, not its files.
	changes, err := git(ctx, dir, env, append(args, "status", "--porcelain", "--ignore-submodules=dirty", "--", ".")...)
	return err != nil || changes != ""
}

// git gives what git prints, run in dir without hooks and monitors, and without
// what the environment says about the repository.
func git(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	args = append([]string{"-C", dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "--no-optional-locks"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "GIT_CONFIG_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
