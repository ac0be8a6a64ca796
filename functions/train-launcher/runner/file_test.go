package runner_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace.dev/functions/train-launcher/runner"
)

// What a trainer puts into its run's folder neither hangs the run nor leads out
// of the folder: the run ends, within its timeout, with a result.
func TestTrainerSpoilsItsFolder(t *testing.T) {
	t.Parallel()
	const run = `cd "$MILLRACE_OUTPUT/.."; `
	retry := func(j *runner.Job) { j.Retries, j.Timeout = 1, 20*time.Second }
	for name, c := range map[string]struct {
		script string
		ok     bool
		reason string
	}{
		"metrics are a pipe":          {run + `test -e seen && exit 0; : > seen; rm metrics.jsonl; mkfifo metrics.jsonl; exit 1`, true, ""},
		"params are a pipe":           {run + `test -e seen && exit 0; : > seen; rm params.json; mkfifo params.json; exit 1`, true, ""},
		"params are a folder":         {run + `test -e seen && exit 0; : > seen; rm params.json; mkdir -p params.json/x; exit 1`, true, ""},
		"the log's end is a pipe":     {run + `mkfifo log.end log.end.older; head -c 3000000 /dev/zero`, true, ""},
		"the log's end is a folder":   {run + `mkdir -p log.end/x log.end.older/x; head -c 3000000 /dev/zero`, true, ""},
		"the result is a pipe":        {run + `mkfifo result.json; exit 0`, true, ""},
		"the result is a folder":      {run + `mkdir -p result.json/x; exit 0`, true, ""},
		"the output is gone":          {`rm -rf "$MILLRACE_OUTPUT"; exit 0`, true, ""},
		"the output is a pipe":        {`rm -rf "$MILLRACE_OUTPUT"; mkfifo "$MILLRACE_OUTPUT"; test -e "$MILLRACE_OUTPUT.seen" && exit 0; : > "$MILLRACE_OUTPUT.seen"; exit 1`, true, ""},
		"the result is another's":     {run + `echo '{"ok":true}' > mine; ln -s mine result.json; exit 3`, false, "exit code 3"},
		"everything of it is gone":    {run + `rm -rf ./*; exit 3`, false, "exit code 3"},
		"the lock is a pipe":          {run + `rm lock; mkfifo lock; exit 0`, true, ""},
		"the log leads somewhere":     {run + `rm log; ln -s /dev/full log; echo more; exit 0`, true, ""},
		"the log's ends lead outside": {run + `ln -s /dev/full log.end; ln -s /dev/zero log.end.older; head -c 3000000 /dev/zero`, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := carryOut(t, c.script, retry)
			if r.OK != c.ok || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// Only a regular file of the folder is opened, and never by waiting.
func TestOpenTakesRegularFiles(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "do not tell")
	for name, c := range map[string]struct {
		place func(path string) error
		want  string
	}{
		"a link out":       {func(p string) error { return os.Symlink(secret, p) }, "symbolic link"},
		"a link to itself": {func(p string) error { return os.Symlink(filepath.Base(p), p) }, "symbolic link"},
		"a link within":    {func(p string) error { return os.Symlink("job.json", p) }, "symbolic link"},
		"a pipe":           {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "named pipe"},
		"a folder":         {func(p string) error { return os.Mkdir(p, 0o700) }, "a folder"},
		"a socket": {func(p string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, "socket"},
		"what is too large": {func(p string) error { return os.Truncate(p, 1<<40) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "open") //nolint:usetesting // the path of a socket is at most 108 bytes
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			folder, path := runner.Folder(dir), filepath.Join(dir, "result.json")
			write(t, filepath.Join(dir, "job.json"), `{"ok":true}`)
			if c.want == "" {
				write(t, path, "")
			}
			if err := c.place(path); err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				file, err := folder.Open("result.json")
				if s, ok := errors.AsType[*runner.SpoiledError](err); !ok || !strings.Contains(s.Error(), c.want) {
					t.Errorf("opened %v, %v", file, err)
				}
			}
			r, ended, err := folder.Result()
			if err != nil || !ended || r.OK || !strings.HasPrefix(r.Reason, "result.json in the run's folder ") || r.Hint == "" {
				t.Errorf("the result is %+v, %t, %v", r, ended, err)
			}
			if err := folder.Overrule(runner.Result{OK: true}); err != nil {
				t.Fatal(err)
			}
			if r := result(t, folder); !r.OK || read(t, secret) != "do not tell" {
				t.Errorf("got %+v", r)
			}
		})
	}
	t.Run("a folder on the way leads out", func(t *testing.T) {
		t.Parallel()
		folder := runner.Folder(t.TempDir())
		if err := os.Symlink(filepath.Dir(secret), folder.Output()); err != nil {
			t.Fatal(err)
		}
		if file, err := folder.Open("output/secret"); err == nil {
			t.Errorf("%s was opened", file.Name())
		}
		if names, _, err := folder.Files(); err == nil {
			t.Errorf("it has the files %v", names)
		}
	})
}
