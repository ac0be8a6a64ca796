package config

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// No program that a folder's own git configuration names is run to read its
// commit, and what is committed is still distinguished from what is not.
func TestCommitRunsNothingOfTheFolder(t *testing.T) {
	t.Parallel()
	files := sample()
	files[".gitattributes"] = "* filter=evil diff=evil\n"
	dir := folder(t, files)
	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(t.TempDir(), "evil")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $*\" >> "+ran+"\ncat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	git := func(at string, args ...string) {
		t.Helper()
		args = append([]string{"-C", at, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always"}, args...)
		if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
			t.Skipf("git %v: %v\n%s", args, err, out)
		}
	}
	other := t.TempDir()
	git(other, "init", "-q")
	if err := os.WriteFile(filepath.Join(other, "lib.py"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(other, "add", ".")
	git(other, "commit", "-q", "-m", "other")
	git(dir, "init", "-q")
	git(dir, "submodule", "--quiet", "add", other, "lib")
	git(dir, "add", ".")
	git(dir, "commit", "-q", "-m", "first")
	for _, at := range []string{dir, filepath.Join(dir, "lib")} {
		for _, key := range []string{
			"filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "diff.evil.textconv", "diff.evil.command",
			"diff.external", "gpg.program", "credential.helper", "alias.status", "alias.rev-parse",
		} {
			value := program
			if key == "alias.status" || key == "alias.rev-parse" || key == "credential.helper" {
				value = "!" + program
			}
			git(at, "config", key, value)
		}
		git(at, "config", "core.hooksPath", filepath.Dir(program))
	}
	if err := os.WriteFile(filepath.Join(dir, "lib", ".gitattributes"), []byte("* filter=evil\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lib", "lib.py"), []byte("y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The same size and another time: git has to read it to know.
	path := filepath.Join(dir, "pipeline.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, dir).Commit; len(got) != 40 {
		t.Errorf("the commit is %q", got)
	}
	text[0] = '#'
	if err := os.WriteFile(filepath.Join(dir, "more.py"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, dir).Commit; len(got) != 46 {
		t.Errorf("with a file that is not committed the commit is %q", got)
	}
	if told, err := os.ReadFile(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder's programs ran (%v):\n%s", err, told)
	}
}
