package config

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const minimal = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: sample}
spec:
  data:
    uploads: [sample/*.csv]
    prepare: prepare.sql
    columns:
      x: {type: float}
      y: {type: float}
  model: {task: regression, label: y, features: [x]}
  train: {command: [python, train.py]}
`

// folder writes files, by path, into a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func sample() map[string]string {
	return map[string]string{
		"pipeline.yaml":     minimal,
		"prepare.sql":       "SELECT * FROM upload JOIN rates USING (zone)\n",
		"tables/rates.csv":  "zone,rate\n1,2\n",
		"tables/notes.txt":  "passed over\n",
		"tables/days.JSONL": "{}\n",
	}
}

func mustLoad(t testing.TB, path string) *Loaded {
	t.Helper()
	l, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoadReadsWhatStandsBeside(t *testing.T) {
	t.Parallel()
	dir := folder(t, sample())
	l := mustLoad(t, dir)
	if l.Dir != dir || l.File != filepath.Join(dir, "pipeline.yaml") || l.Pipeline.Name() != "sample" {
		t.Errorf("loaded %s from %s, %s", l.Pipeline.Name(), l.Dir, l.File)
	}
	if !strings.HasPrefix(l.Prepare, "SELECT * FROM upload") {
		t.Errorf("prepare is %q", l.Prepare)
	}
	if len(l.Tables) != 2 || l.Tables["rates"] != filepath.Join(dir, "tables/rates.csv") || l.Tables["days"] == "" {
		t.Errorf("tables are %v", l.Tables)
	}
	if byFile := mustLoad(t, l.File); byFile.Digest != l.Digest {
		t.Errorf("the file has digest %s, its folder %s", byFile.Digest, l.Digest)
	}
}

func TestLoadRefusesWhatIsWrongBeside(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(folder(t, map[string]string{"secret.sql": "SELECT 1"}), "secret.sql")
	link := func(dir, name string) error { return os.Symlink(outside, filepath.Join(dir, name)) }
	tests := map[string]struct {
		change func(dir string, files map[string]string)
		link   string
		want   string
	}{
		"NoPrepare":     {change: func(_ string, f map[string]string) { delete(f, "prepare.sql") }, want: `"prepare.sql" does not exist`},
		"EmptyPrepare":  {change: func(_ string, f map[string]string) { f["prepare.sql"] = " \n" }, want: `"prepare.sql" is empty`},
		"BinaryPrepare": {change: func(_ string, f map[string]string) { f["prepare.sql"] = "\x00\xff" }, want: "not UTF-8"},
		"LargePrepare":  {change: func(_ string, f map[string]string) { f["prepare.sql"] = strings.Repeat(" ", 1<<20+1) }, want: "larger than 1 MiB"},
		"PrepareOutside": {change: func(_ string, f map[string]string) {
			f["pipeline.yaml"] = strings.Replace(minimal, "prepare.sql", "../secret.sql", 1)
		}, want: "not inside the pipeline's folder"},
		"PrepareLink": {change: func(_ string, f map[string]string) { delete(f, "prepare.sql") }, link: "prepare.sql", want: "leads out of the pipeline's folder"},
		"PrepareFolder": {change: func(_ string, f map[string]string) {
			delete(f, "prepare.sql")
			f["prepare.sql/x"] = ""
		}, want: "is not a file"},
		"TableLink":  {change: func(string, map[string]string) {}, link: "tables/stolen.csv", want: "leads out of the pipeline's folder"},
		"TableTwice": {change: func(_ string, f map[string]string) { f["tables/Rates.json"] = "{}" }, want: "have the same name"},
		"TableName":  {change: func(_ string, f map[string]string) { f["tables/a-b.csv"] = "" }, want: "would have to quote"},
		"TableTaken": {change: func(_ string, f map[string]string) { f["tables/upload.csv"] = "" }, want: "reserved in prepare"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := sample()
			tt.change("", files)
			dir := folder(t, files)
			if tt.link != "" {
				if err := link(dir, tt.link); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(dir)
			problems, _ := errors.AsType[Problems](err)
			if len(problems) != 1 {
				t.Fatalf("error is %v, want one problem", err)
			}
			p := problems[0]
			if p.Field != "spec.data.prepare" || p.Line != 7 || !strings.Contains(p.Message, tt.want) {
				t.Errorf("problem is %s, want %q at line 7", p, tt.want)
			}
		})
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"sub/x": "", "large.yaml": strings.Repeat("#", 1<<20+1)})
	for path, want := range map[string]string{
		"missing.yaml": "no such file",
		"sub":          "no such file",
		"large.yaml":   "is larger than 1 MiB",
	} {
		if _, err := Load(filepath.Join(dir, path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%s) says %v, want %q", path, err, want)
		}
	}
}

func TestParseBoundsTheMeaning(t *testing.T) {
	t.Parallel()
	values := make([]string, 20_000)
	for i := range values {
		values[i] = fmt.Sprintf("value-%025d", i)
	}
	source := strings.Replace(minimal, "x: {type: float}", "x: {type: string, values: ["+strings.Join(values, ",")+"]}", 1)
	if _, err := Parse("large.yaml", []byte(source)); err == nil || !strings.Contains(err.Error(), "has more than 512 KiB") {
		t.Errorf("error is %v", err)
	}
}

func TestDigestIsOfTheMeaning(t *testing.T) {
	t.Parallel()
	base := mustLoad(t, folder(t, sample())).Digest
	change := func(from, to string) map[string]string {
		files := sample()
		if !strings.Contains(minimal, from) {
			t.Fatalf("%q is not in the sample", from)
		}
		files["pipeline.yaml"] = strings.Replace(minimal, from, to, 1)
		return files
	}
	with := func(name, content string) map[string]string {
		files := sample()
		files[name] = content
		return files
	}
	same := map[string]map[string]string{
		"Comment":       change("spec:", "# for people\nspec: # more"),
		"Style":         change("{task: regression, label: y, features: [x]}", "\n    features:\n    - \"x\"\n    label: 'y'\n    task: regression"),
		"KeyOrder":      change("      x: {type: float}\n      y: {type: float}", "      y: {type: float}\n      x: {type: float}"),
		"Default":       change("x: {type: float}", "x: {type: float, nulls: 0}"),
		"DefaultPart":   change("spec:", "spec:\n  serve: {log: {sample: 1.0}, max_scale: 10}\n  monitor: {cooldown: 60m}"),
		"Labels":        change("{name: sample}", "{name: sample, labels: {team: a}, annotations: {x: y}}"),
		"TrainerBeside": with("train.py", "print()"),
		"OtherFile":     with("tables/notes.txt", "something else"),
	}
	for name, files := range same {
		if got := mustLoad(t, folder(t, files)).Digest; got != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	different := map[string]map[string]string{
		"Name":    change("{name: sample}", "{name: other}"),
		"Value":   change("x: {type: float}", "x: {type: float, nulls: 0.1}"),
		"Prepare": with("prepare.sql", "SELECT 1"),
		"Table":   with("tables/rates.csv", "zone,rate\n1,3\n"),
		"Tables":  with("tables/more.csv", ""),
	}
	for name, files := range different {
		if got := mustLoad(t, folder(t, files)).Digest; got == base {
			t.Errorf("%s does not change the digest", name)
		}
	}
}

func TestCommitIsTheFoldersOwn(t *testing.T) {
	t.Parallel()
	dir := folder(t, sample())
	if got := mustLoad(t, dir).Commit; got != "" {
		t.Skipf("the temporary folder is in a repository, at %s", got)
	}
	git := func(args ...string) string {
		t.Helper()
		args = append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)
		out, err := exec.Command("git", args...).CombinedOutput()
		if err != nil {
			t.Skipf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	head := git("rev-parse", "HEAD")
	if got := mustLoad(t, dir).Commit; got != head {
		t.Errorf("commit is %q, want %q", got, head)
	}
	if err := os.WriteFile(filepath.Join(dir, "train.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, dir).Commit; got != head+"-dirty" {
		t.Errorf("commit is %q, want %q", got, head+"-dirty")
	}
}
