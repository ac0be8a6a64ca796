package runner_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace.dev/functions/train-launcher/runner"
)

// program is the runner as it is shipped.
var program string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runner-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "runner")
	cmd := exec.Command("go", "build", "-o", program, "../cmd/runner")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the runner: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// prepare makes a run's folder for a trainer that is a shell script.
func prepare(t *testing.T, script string, change func(*runner.Job)) (runner.Folder, runner.Job) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "a.parquet")
	write(t, data, "the train part")
	job := runner.Job{
		Run: "r0123456789ab", Command: []string{"sh", "-c", script}, Dir: t.TempDir(),
		Data: []runner.Input{{Name: "part-00000.parquet", Path: data}}, Params: []byte(`{"rate":0.1}`), Pipeline: []byte(`{"kind":"Pipeline"}`),
		Timeout: time.Minute, Backoff: time.Millisecond, Grace: 5 * time.Second, MaxOutput: 1 << 20, MaxFiles: 100, MaxLog: 1 << 20,
	}
	if change != nil {
		change(&job)
	}
	folder := runner.Folder(filepath.Join(t.TempDir(), "run"))
	if err := folder.Create(job); err != nil {
		t.Fatal(err)
	}
	return folder, job
}

// start starts a runner in the folder.
func start(t *testing.T, folder runner.Folder) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, string(folder))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "MINE=yes", "MILLRACE_OUTPUT=/nowhere"}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func result(t *testing.T, folder runner.Folder) runner.Result {
	t.Helper()
	r, ok, err := folder.Result()
	if err != nil || !ok {
		t.Fatalf("there is no result (%v)", err)
	}
	return r
}

// carryOut runs a trainer to its end.
func carryOut(t *testing.T, script string, change func(*runner.Job)) (runner.Result, runner.Folder) {
	t.Helper()
	folder, _ := prepare(t, script, change)
	if err := start(t, folder).Wait(); err != nil {
		t.Fatalf("the runner failed: %v", err)
	}
	return result(t, folder), folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// until polls for what happens in another process.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.Tick(5*time.Millisecond)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		case <-tick:
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// gone reports whether no process of that id is alive.
func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

func TestTrainerFindsWhatItIsPromised(t *testing.T) {
	t.Parallel()
	script := `
set -e
cat "$MILLRACE_TRAIN_DATA/part-00000.parquet" > "$MILLRACE_OUTPUT/model.onnx"
cp "$MILLRACE_PARAMS" "$MILLRACE_OUTPUT/params"
cp "$MILLRACE_PIPELINE" "$MILLRACE_OUTPUT/pipeline"
echo '{"step": 1, "loss": 0.5}' >> "$MILLRACE_METRICS"
echo more > "$MILLRACE_TRAIN_DATA/part-00000.parquet"
env | sort > "$MILLRACE_OUTPUT/env"
pwd
echo "run $MILLRACE_RUN_ID" >&2
`
	folder, job := prepare(t, script, nil)
	if err := start(t, folder).Wait(); err != nil {
		t.Fatal(err)
	}
	r := result(t, folder)
	if !r.OK || r.Attempts != 1 || r.Reason != "" || r.Seconds <= 0 {
		t.Errorf("got %+v", r)
	}
	for name, want := range map[string]string{"model.onnx": "the train part", "params": `{"rate":0.1}`, "pipeline": `{"kind":"Pipeline"}`} {
		if got := read(t, filepath.Join(folder.Output(), name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := read(t, job.Data[0].Path); got != "the train part" {
		t.Errorf("the trainer has changed the artifact itself: %q", got)
	}
	dir, err := filepath.EvalSymlinks(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, folder.Log()), dir+"\nrun r0123456789ab\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	var names []string
	for line := range strings.Lines(read(t, filepath.Join(folder.Output(), "env"))) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	want := "MILLRACE_METRICS MILLRACE_OUTPUT MILLRACE_PARAMS MILLRACE_PIPELINE MILLRACE_RUN_ID MILLRACE_TRAIN_DATA MINE PATH PWD"
	if got := strings.ReplaceAll(strings.ReplaceAll(strings.Join(names, " "), " SHLVL", ""), " _", ""); got != want {
		t.Errorf("the environment has %s, want %s", got, want)
	}
}

func TestFailureWords(t *testing.T) {
	traceback := `cat >&2 <<'END'
loading
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    import lightgbm
ModuleNotFoundError: No module named 'lightgbm'
END
exit 1`
	for _, c := range []struct {
		name, script string
		change       func(*runner.Job)
		reason, hint string // parts
		exit         int
		attempts     int
	}{
		{name: "crash", script: "echo first; echo last; exit 3", reason: "the trainer ended with exit code 3: last", exit: 3, attempts: 1},
		{name: "crash without output", script: "exit 3", reason: "the trainer ended with exit code 3", exit: 3, attempts: 1},
		{
			name: "Python's exception", script: traceback, reason: "the trainer ended with exit code 1: ModuleNotFoundError: No module named 'lightgbm'",
			hint: "install the trainer's requirements", exit: 1, attempts: 1,
		},
		{name: "killed", script: "kill -9 $$", reason: "most likely because the machine ran out of memory", hint: "train on less", exit: -1, attempts: 1},
		{name: "killed within", script: "sh -c 'kill -9 $$'; exit $?", reason: "(exit code 137)", hint: "train on less", exit: 137, attempts: 1},
		{name: "signal", script: "kill -SEGV $$", reason: "the trainer was ended by a signal: segmentation fault", exit: -1, attempts: 1},
		{
			name: "no such command", change: func(j *runner.Job) { j.Command, j.Retries = []string{"no-such-trainer"}, 2 },
			reason: `the command "no-such-trainer" is neither in `, hint: "correct train.command", attempts: 1,
		},
		{
			name: "no such folder", change: func(j *runner.Job) { j.Dir = "/no/such/folder" },
			reason: "the pipeline's folder /no/such/folder cannot be entered: no such file or directory", hint: "put it back", attempts: 1,
		},
		{
			name: "hangs", script: "echo working; exec sleep 1000", change: func(j *runner.Job) { j.Timeout, j.Retries = 300*time.Millisecond, 2 },
			reason: "the trainer took longer than the 300ms of train.timeout", hint: "raise train.timeout", exit: -1, attempts: 1,
		},
		{
			name: "hangs and ignores SIGTERM", script: "trap '' TERM; while :; do sleep 1000; done",
			change: func(j *runner.Job) { j.Timeout, j.Grace = 200*time.Millisecond, 200*time.Millisecond },
			reason: "the trainer took longer than", exit: -1, attempts: 1,
		},
		{
			name: "fills the quota", script: `head -c 3000000 /dev/zero > "$MILLRACE_OUTPUT/big"; exec sleep 1000`,
			reason: "the trainer left more than the 1.0 MiB that a run may leave", hint: "MILLRACE_TRAIN_MAX_OUTPUT", exit: -1, attempts: 1,
		},
		{
			name: "fills the quota and ends", script: `head -c 3000000 /dev/zero > "$MILLRACE_OUTPUT/big"`,
			reason: "the trainer left more than the 1.0 MiB that a run may leave", attempts: 1,
		},
		{
			name: "too many files", script: `cd "$MILLRACE_OUTPUT"; for i in $(seq 101); do : > $i; done`,
			reason: "the trainer left more than the 100 files that a run may leave", hint: "one archive", attempts: 1,
		},
		{
			name: "fails every time", script: "exit 1", change: func(j *runner.Job) { j.Retries = 2 },
			reason: "the trainer ended with exit code 1 (attempt 3 of 3)", exit: 1, attempts: 3,
		},
		{
			name: "the same traceback each time", script: "echo 'Traceback (most recent call last)'; echo \"KeyError: 'agee'\"; exit 1", change: func(j *runner.Job) { j.Retries = 5 },
			reason: "KeyError: 'agee', the same twice (attempt 2 of 6)", exit: 1, attempts: 2,
		},
		{
			name: "a server that is away", script: "echo 'Traceback (most recent call last)'; echo 'ConnectionRefusedError: [Errno 111] Connection refused'; exit 1", change: func(j *runner.Job) { j.Retries = 2 },
			reason: "Connection refused (attempt 3 of 3)", exit: 1, attempts: 3,
		},
		{
			name: "another traceback each time", script: "echo 'Traceback (most recent call last)'; echo \"KeyError: $$\"; exit 1", change: func(j *runner.Job) { j.Retries = 2 },
			reason: "(attempt 3 of 3)", exit: 1, attempts: 3,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := carryOut(t, c.script, c.change)
			if r.OK {
				t.Fatal("it is called a success")
			}
			if !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Hint, c.hint) {
				t.Errorf("the reason is %q, want %q\nthe hint is %q, want %q", r.Reason, c.reason, r.Hint, c.hint)
			}
			if r.ExitCode != c.exit || r.Attempts != c.attempts {
				t.Errorf("exit code %d after %d attempts, want %d after %d", r.ExitCode, r.Attempts, c.exit, c.attempts)
			}
		})
	}
}

func TestSecondAttemptSucceeds(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	script := `
test -e ` + mark + ` && { test "$(ls "$MILLRACE_OUTPUT" | wc -l)" = 0 && test ! -s "$MILLRACE_METRICS" || echo leftovers; echo good; exit 0; }
: > ` + mark + `; : > "$MILLRACE_OUTPUT/half"; echo '{}' > "$MILLRACE_METRICS"; echo bad; exit 1`
	r, folder := carryOut(t, script, func(j *runner.Job) { j.Retries = 1 })
	if !r.OK || r.Attempts != 2 || r.Reason != "" {
		t.Errorf("got %+v", r)
	}
	if got, want := read(t, folder.Log()), "bad\n--- attempt 2 of 2 ---\ngood\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if r.LogTail != "good" {
		t.Errorf("the tail is %q: it is to be of the last attempt alone", r.LogTail)
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	r, folder := carryOut(t, `echo the beginning; yes 0123456789 | head -c 200000000; echo; echo the end`, nil)
	t.Logf("200 MB of output took %s", time.Since(begin))
	if !r.OK {
		t.Fatalf("got %+v", r)
	}
	log := read(t, folder.Log())
	if len(log) > 1<<20+200 {
		t.Errorf("the log has %d bytes", len(log))
	}
	if !strings.HasPrefix(log, "the beginning\n") || !strings.HasSuffix(log, "\nthe end\n") || !strings.Contains(log, " bytes are left out here ---\n") {
		t.Errorf("the log is %q ... %q", log[:100], log[len(log)-100:])
	}
	if !strings.HasSuffix(r.LogTail, "\nthe end") || len(r.LogTail) > 8<<10 || strings.Count(r.LogTail, "\n") >= 40 {
		t.Errorf("the tail is %q", r.LogTail)
	}
	matches, err := filepath.Glob(folder.Log() + ".*")
	if err != nil || len(matches) > 0 {
		t.Errorf("left beside the log: %v (%v)", matches, err)
	}
}

func TestTailIsPlainText(t *testing.T) {
	t.Parallel()
	r, _ := carryOut(t, `printf '\033[31mred\033[0m \377 bell\007\n 10 %%\r 50 %%\r100 %%\n'; exit 1`, nil)
	if want := "red \uFFFD bell\n100 %"; r.LogTail != want {
		t.Errorf("the tail is %q, want %q", r.LogTail, want)
	}
}

// A child that holds the output open must neither keep the run from ending nor
// outlive it, in the trainer's process group or out of it.
func TestChildrenEndWithTheRun(t *testing.T) {
	for name, script := range map[string]string{
		"in the group":           `sleep 1000 & echo $! > "$MILLRACE_OUTPUT/pid"`,
		"in another session":     `setsid sh -c 'echo $$ > "$MILLRACE_OUTPUT/pid"; exec sleep 1000' & until test -s "$MILLRACE_OUTPUT/pid"; do sleep 0.01; done`,
		"a daemon in a session":  `setsid sh -c '(echo > "$MILLRACE_OUTPUT/x"; sh -c "echo \$\$ > \"$MILLRACE_OUTPUT/pid\"; exec sleep 1000") & exit' ; until test -s "$MILLRACE_OUTPUT/pid"; do sleep 0.01; done`,
		"one that ignores hints": `sh -c 'trap "" TERM HUP INT; echo $$ > "$MILLRACE_OUTPUT/pid"; while :; do sleep 1000; done' & until test -s "$MILLRACE_OUTPUT/pid"; do sleep 0.01; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, folder := carryOut(t, script, nil)
			if !r.OK {
				t.Fatalf("got %+v", r)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(folder.Output(), "pid"))))
			if err != nil {
				t.Fatal(err)
			}
			until(t, "the child is gone", func() bool { return gone(pid) })
		})
	}
}

func TestOneRunnerAFolder(t *testing.T) {
	t.Parallel()
	trace := filepath.Join(t.TempDir(), "trace")
	gate := filepath.Join(t.TempDir(), "gate")
	folder, _ := prepare(t, `echo run >> `+trace+`; until test -e `+gate+`; do sleep 0.01; done`, nil)
	if pid, err := folder.Runner(); pid != 0 || err != nil {
		t.Fatalf("there is a runner already: %d (%v)", pid, err)
	}
	var runners []*exec.Cmd
	for range 8 {
		runners = append(runners, start(t, folder))
	}
	until(t, "one is at work", func() bool { return exists(trace) })
	pid, err := folder.Runner()
	if err != nil || pid == 0 {
		t.Fatalf("no runner is active (%v)", err)
	}
	write(t, gate, "")
	var wg sync.WaitGroup
	for _, r := range runners {
		wg.Go(func() {
			if err := r.Wait(); err != nil {
				t.Errorf("runner %d: %v", r.Process.Pid, err)
			}
		})
	}
	wg.Wait()
	if err := start(t, folder).Wait(); err != nil { // there is a result
		t.Error(err)
	}
	if got := read(t, trace); got != "run\n" {
		t.Errorf("the trainer ran %d times", strings.Count(got, "\n"))
	}
	if pid, err := folder.Runner(); pid != 0 || err != nil {
		t.Errorf("the lock is still held by %d (%v)", pid, err)
	}
	result(t, folder)
}

// A runner that is killed takes its trainer along; the next one counts the
// attempt and continues.
func TestRunnerIsKilled(t *testing.T) {
	for _, c := range []struct {
		name     string
		retries  int
		ok       bool
		attempts int
	}{{"with an attempt left", 1, true, 2}, {"at the last attempt", 0, false, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			again := filepath.Join(t.TempDir(), "again")
			script := `test -e ` + again + ` && exit 0; : > ` + again + `
sleep 1000 & echo $! >> ` + pids + `
setsid sh -c 'echo $$ >> ` + pids + `; exec sleep 1000' &
echo $$ >> ` + pids + `; exec sleep 1000`
			folder, _ := prepare(t, script, func(j *runner.Job) { j.Retries = c.retries })
			first := start(t, folder)
			until(t, "the trainer works", func() bool { return exists(pids) && strings.Count(read(t, pids), "\n") == 3 })
			if err := first.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = first.Wait()
			if pid, err := folder.Runner(); pid != 0 || err != nil {
				t.Fatalf("the killed runner still holds the lock: %d (%v)", pid, err)
			}
			if err := start(t, folder).Wait(); err != nil {
				t.Fatal(err)
			}
			r := result(t, folder)
			if r.OK != c.ok || r.Attempts != c.attempts {
				t.Errorf("got %+v", r)
			}
			if !c.ok && !strings.Contains(r.Reason, "the trainer's process disappeared") {
				t.Errorf("the reason is %q", r.Reason)
			}
			scanner := bufio.NewScanner(strings.NewReader(read(t, pids)))
			for scanner.Scan() {
				pid, err := strconv.Atoi(scanner.Text())
				if err != nil {
					t.Fatal(err)
				}
				until(t, "no trainer is left", func() bool { return gone(pid) })
			}
		})
	}
}

func TestDataThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]runner.Input{
		"no such file":       {Name: "a.parquet", Path: "/no/such/file"},
		"out of the folder":  {Name: "../../a.parquet", Path: "/dev/null"},
		"an absolute target": {Name: "/tmp/a.parquet", Path: "/dev/null"},
	} {
		r, _ := carryOut(t, "exit 0", func(j *runner.Job) { j.Data = []runner.Input{in} })
		if r.OK || !strings.HasPrefix(r.Reason, "the trainer could not be started: ") {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

func TestJobStays(t *testing.T) {
	t.Parallel()
	folder, job := prepare(t, "exit 0", nil)
	job.Command = []string{"something", "else"}
	if err := folder.Create(job); err != nil {
		t.Fatal(err)
	}
	var there runner.Job
	if err := json.Unmarshal([]byte(read(t, filepath.Join(string(folder), "job.json"))), &there); err != nil {
		t.Fatal(err)
	}
	if there.Command[0] != "sh" {
		t.Errorf("the job was replaced: %v", there.Command)
	}
	info, err := os.Stat(filepath.Join(string(folder), "job.json"))
	if err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if code := runner.Main(nil, io.Discard, &out); code != 2 || !strings.Contains(out.String(), "usage: runner FOLDER") {
		t.Errorf("exit code %d, %q", code, out.String())
	}
	if code := runner.Main([]string{filepath.Join(t.TempDir(), "nowhere")}, io.Discard, &out); code != 1 {
		t.Errorf("exit code %d for a folder that is not there", code)
	}
}
