package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"millrace.dev/deploy/e2e/env"
	"millrace.dev/deploy/e2e/tumours"
	"millrace.dev/events"
)

// The canaries: words that stand for secrets, each where an installation has one.
var canaries = map[string]string{
	"the token":                   "canary0token0yellow0canary0token0yellow",
	"the NATS password":           "canary0nats0yellow",
	"the object store's key":      "canary0store0yellow",
	"a secret of train.env":       "canary0trainer0yellow",
	"a variable of somebody else": "canary0environ0yellow",
	"a parameter of the store's":  "canary0parameter0yellow",
}

// TestSecretsStaySecret runs the real program with a secret in every place that
// takes one, lets it do all it does, and looks for them in every byte that it
// wrote or answered.
func TestSecretsStaySecret(t *testing.T) {
	b := startBucket(t, canaries["the object store's key"])
	n := &node{Name: "n1", Port: freePorts(t, 1)[0], Dir: t.TempDir(), User: "millrace", Password: canaries["the NATS password"]}
	n.start(t)
	t.Cleanup(func() { n.end(t, syscall.SIGKILL) })
	url := fmt.Sprintf("nats://%s:%s@127.0.0.1:%d", n.User, n.Password, n.Port)
	awaitJetStream(t, url)
	for name, v := range map[string]string{
		"MILLRACE_TOKEN":        canaries["the token"],
		"MILLRACE_NATS":         url,
		"MILLRACE_ARTIFACTS":    b.options(b.Server),
		"AWS_SECRET_ACCESS_KEY": canaries["the object store's key"],
		"MILLRACE_SECRETS":      secrets(t),
		"SOMEBODY_ELSES":        canaries["a variable of somebody else"],
	} {
		t.Setenv(name, v)
	}
	program := env.Build(t)
	refusedStarts(t, program)

	dir := t.TempDir()
	p := env.Launch(t, program, env.Options{Dir: dir, Pipelines: []string{tumours.Pipeline{Name: "hiding", Spec: map[string]string{
		"train": tumours.Train(`test "$API_KEY" && cp "$0.onnx" "$MILLRACE_OUTPUT/model.onnx" && cp "$MILLRACE_OUTPUT/../job.json" "$MILLRACE_OUTPUT/" && env | grep -v ^API_KEY= > "$MILLRACE_OUTPUT/environment.txt"`,
			"env: {API_KEY: {secret: service/key}, PLAIN: visible}"),
	}}.Write(t)}})
	w := p.Watch(t, "hiding")
	upload(t, p.System, "hiding/data/a.parquet", rows(t, 1))
	run := env.Await[events.TrainingCompleted](t, w).Data
	env.Await[events.ModelPromoted](t, w)
	saw := environmentOf(t, b, run)
	for _, want := range []string{"PATH=", "HOME=", "MILLRACE_OUTPUT=", "PLAIN=visible"} {
		if !strings.Contains(saw, want) {
			t.Errorf("the trainer saw no %s in\n%s", want, saw)
		}
	}
	for _, name := range []string{"MILLRACE_TOKEN", "MILLRACE_NATS", "AWS_", "MILLRACE_SECRETS", "SOMEBODY"} {
		if strings.Contains(saw, name) {
			t.Errorf("the trainer saw %s", name)
		}
	}
	answers := everyAnswer(t, p, run.Run)
	for name, a := range answers {
		look(t, "the answer to "+name, []byte(a))
	}
	p.Stop(t)
	n.end(t, syscall.SIGTERM)

	looked := 0
	must(t, filepath.WalkDir(filepath.Dir(dir), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Base(path) == "millrace" {
			return err
		}
		b, err := os.ReadFile(path)
		look(t, path, b)
		looked++
		return err
	}))
	objects := b.objects(t)
	for key, content := range objects {
		look(t, "the object "+key, content)
	}
	t.Logf("looked into %d files, %d objects, %d answers", looked, len(objects), len(answers))
}

// secrets is the folder of train.env's secrets, apart from what is looked into.
func secrets(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "secrets") //nolint:usetesting // apart from the test's folders, which are looked into
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Mkdir(filepath.Join(dir, "service"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "service", "key"), []byte(canaries["a secret of train.env"]+"\n"), 0o600))
	return dir
}

// refusedStarts starts the program with settings that are wrong, and looks at
// what it says of them.
func refusedStarts(t *testing.T, program string) {
	t.Helper()
	for name, variables := range map[string][]string{
		"nobody there":        {"MILLRACE_NATS=nats://millrace:" + canaries["the NATS password"] + "@127.0.0.1:1"},
		"no URL":              {"MILLRACE_NATS=nats://millrace:" + canaries["the NATS password"] + "%zz@127.0.0.1:1"},
		"another password":    {strings.Replace("MILLRACE_NATS="+os.Getenv("MILLRACE_NATS"), "millrace:", "other:", 1)},
		"a token twice":       {"MILLRACE_TOKEN_FILE=/nowhere"},
		"an unknown argument": {"MILLRACE_NATS=", "MILLRACE_ARTIFACTS=s3://artifacts?colour=" + canaries["a parameter of the store's"]},
	} {
		cmd := exec.CommandContext(env.Context(t), program, "up", "--dir", t.TempDir(), "--listen", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), variables...)
		out, err := cmd.CombinedOutput()
		if err == nil || len(out) == 0 {
			t.Errorf("%s: it starts: %s", name, out)
		}
		look(t, "what the program says of "+name, out)
	}
}

// environmentOf is the environment that the trainer of a run has left.
func environmentOf(t testing.TB, b bucket, run events.TrainingCompleted) string {
	t.Helper()
	i := slices.IndexFunc(run.Files, func(f events.File) bool { return f.Name == "environment.txt" })
	if i < 0 {
		t.Fatalf("the run left %+v", run.Files)
	}
	return string(b.objects(t)[run.Files[i].URL])
}

// everyAnswer asks for every answer of the API, with and without the token.
func everyAnswer(t testing.TB, p *env.Process, run string) map[string]string {
	t.Helper()
	out := map[string]string{}
	paths := []string{
		"/metrics", "/readyz", "/api/status", "/api/pipelines", "/api/pipelines/hiding", "/api/datasets", "/api/runs", "/api/models", "/api/routes",
		"/api/events", "/api/events?limit=1000", "/api/why/v1?pipeline=hiding", "/api/runs/" + run + "/log", "/api/deadletters",
		"/v2", "/v2/models", "/v2/models/hiding", "/v2/health/ready", "/v1/models", "/api/nothing",
	}
	for _, path := range paths {
		a := p.Ask(t, http.MethodGet, path, nil)
		if a.Status == http.StatusUnauthorized {
			t.Errorf("%s is refused with the token", path)
		}
		out[path] = a.Text
		r, err := http.NewRequestWithContext(env.Context(t), http.MethodGet, p.Server()+path, nil)
		must(t, err)
		bare, err := http.DefaultClient.Do(r)
		must(t, err)
		text, err := io.ReadAll(bare.Body)
		must(t, err)
		bare.Body.Close()
		out[path+" without the token"] = string(text)
		if free := path == "/readyz" || path == "/v2/health/ready"; free != (bare.StatusCode != http.StatusUnauthorized) {
			t.Errorf("%s without the token is answered %s", path, bare.Status)
		}
	}
	row, err := json.Marshal(map[string]any{"instances": tumours.Draw(t, 2, 9).Features(t, 0, 2)})
	must(t, err)
	out["a prediction"] = p.Ask(t, http.MethodPost, "/v1/models/hiding:predict", bytes.NewReader(row)).Text
	out["a bad event"] = p.Ask(t, http.MethodPost, "/events", strings.NewReader("{"), "Content-Type", "application/cloudevents+json").Text
	return out
}

// look looks for the canaries, also in base64 and below gzip.
func look(t testing.TB, where string, b []byte) {
	t.Helper()
	for what, canary := range canaries {
		short := base64.StdEncoding.EncodeToString([]byte(canary))
		if bytes.Contains(b, []byte(canary)) || bytes.Contains(b, []byte(short[:len(short)-4])) {
			i := bytes.Index(b, []byte(canary))
			t.Errorf("%s is in %s: ...%s", what, where, b[max(0, i-80):min(len(b), max(0, i)+40)])
		}
	}
	if zr, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		if inner, err := io.ReadAll(zr); err == nil {
			look(t, where+" (unpacked)", inner)
		}
	}
}
