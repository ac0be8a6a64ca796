package trainlauncher_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/table"
)

const plansYAML = `
apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: flights}
spec:
  data:
    uploads: ["flights/*.parquet"]
    holdout: HOLDOUT
    columns:
      left: {type: string}
      note: {type: string}
      plan: {type: string}
      region: {type: string}
  model: {task: binary_classification, label: left, features: [region, plan]}
  train: {command: [sh, train.sh], retries: 0}
`

// plans is a partition whose rows repeat: of the hundred customers of each plan
// and region 20, 40, 60 and 80 have left. The note says the label once more.
func plans(t testing.TB, path string) int {
	schema := table.Schema{{Name: "left", Type: table.String}, {Name: "note", Type: table.String}, {Name: "plan", Type: table.String}, {Name: "region", Type: table.String}}
	b := &table.Batch{Schema: schema, Columns: make([]table.Vector, len(schema))}
	for k, left := range []int{20, 40, 60, 80} {
		for i := range 100 {
			row := []string{"no", "stays", []string{"basic", "pro"}[k/2], []string{"north", "south"}[k%2]}
			if i < left {
				row[0], row[1] = "yes", "leaves"
			}
			for c, x := range row {
				b.Columns[c].Strings = append(b.Columns[c].Strings, x)
			}
			b.Rows++
		}
	}
	w, err := table.Create(path, schema)
	must(t, err)
	defer w.Abort()
	must(t, w.Write(b))
	must(t, w.Close())
	return b.Rows
}

// started splits the plans and returns the run's beginning.
func started(t *testing.T, holdout string) (*env, events.TrainingStarted) {
	t.Helper()
	s := &env{Env: functiontest.New(t), t: t, cfg: quick()}
	s.dir = s.ConfigureYAML(t, strings.Replace(plansYAML, "HOLDOUT", holdout, 1), [2]string{"train.sh", "exit 1"}).Dir
	path := filepath.Join(t.TempDir(), "p.parquet")
	s.admit(path, plans(t, path))
	s.run()
	return s, await[events.TrainingStarted](s, nil).Data
}

// part counts the rows of a file by plan, region and label, and returns its columns.
func (s *env) part(ref events.Ref) (schema table.Schema, counts map[string]int) {
	s.t.Helper()
	path, err := s.Artifacts.Path(functiontest.Context(s.t), ref)
	must(s.t, err)
	r, err := table.Open(path, nil)
	must(s.t, err)
	defer r.Close()
	b, err := r.Next(1000)
	must(s.t, err)
	counts = map[string]int{}
	for i := range b.Rows {
		group := b.Column("plan").Strings[i] + " " + b.Column("region").Strings[i]
		counts[group]++
		counts[group+" "+b.Column("left").Strings[i]]++
		counts[b.Column("left").Strings[i]]++
	}
	return r.Schema(), counts
}

func TestSplitOfRowsThatRepeat(t *testing.T) {
	t.Parallel()
	groups := map[string]int{"basic north": 20, "basic south": 40, "pro north": 60, "pro south": 80}
	tests := map[string]struct {
		holdout, warnings string
		whole             bool // a group is on one side as a whole
		exact             bool // the shares of the label are kept
	}{
		"hash":       {"{fraction: 0.3, by: hash}", "groups", true, false},
		"default":    {"{fraction: 0.3}", "groups", true, false},
		"random":     {"{fraction: 0.3, by: random}", "twins", false, false},
		"seed":       {"{fraction: 0.3, seed: 7}", "twins", false, false},
		"stratified": {"{fraction: 0.3, stratify: true}", "twins", false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, start := started(t, test.holdout)
			var files []events.File
			must(t, json.Unmarshal([]byte(s.text(start.Train)), &files))
			schema, train := s.part(files[0].Ref)
			heldSchema, holdout := s.part(start.Holdout)

			const order = "region string, plan string, left string, note string"
			if schema.String() != order || heldSchema.String() != order {
				t.Errorf("the parts have %s and %s, want %s", schema, heldSchema, order)
			}
			for group, left := range groups {
				if train[group]+holdout[group] != 100 {
					t.Errorf("%d rows of %s are trained on and %d held out, of 100", train[group], group, holdout[group])
				}
				for side, part := range map[string]map[string]int{"trained on": train, "held out": holdout} {
					n := part[group]
					if test.whole && n%100 != 0 {
						t.Errorf("%d of 100 equal rows of %s are %s", n, group, side)
					}
					// As many as in the whole file, but for chance.
					if share := float64(part[group+" yes"]) / float64(max(n, 1)); n > 0 && (share < float64(left)/100-0.25 || share > float64(left)/100+0.25) {
						t.Errorf("of the %d rows of %s that are %s %.2f left, of all %d %%", n, group, side, share, left)
					}
				}
			}
			if test.exact && (holdout["yes"] != 60 || holdout["no"] != 60) {
				t.Errorf("%d and %d rows of the two classes are held out, want 60 and 60", holdout["yes"], holdout["no"])
			}
			if share := float64(start.HoldoutRows) / 400; share < 0.2 || share > 0.4 {
				t.Errorf("%.2f is held out", share)
			}
			var warned []string
			for _, w := range start.Warnings {
				warned = append(warned, w.Check)
			}
			if fmt.Sprint(warned) != "["+test.warnings+"]" {
				t.Errorf("the run warns of %v, want %s", start.Warnings, test.warnings)
			}
		})
	}
}

// A row without a time, of a contract that once allowed it, does not keep the
// pipeline from training.
func TestSplitOfRowsWithoutTime(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "window: {span: 40h}", "holdout: {by: hash}"} {
		t.Run(data, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, "exit 1", options{data: data})
			path := filepath.Join(t.TempDir(), "p.parquet")
			hours(t, path, 0, 60)
			r, err := table.Open(path, nil)
			must(t, err)
			b, err := r.Next(100)
			must(t, err)
			at := b.Column("time_hour")
			at.Nulls = make([]bool, b.Rows)
			at.Nulls[50], at.Ints[50] = true, 0
			undated := filepath.Join(t.TempDir(), "u.parquet")
			w, err := table.Create(undated, b.Schema)
			must(t, err)
			must(t, w.Write(b))
			must(t, w.Close())
			must(t, r.Close())
			s.admit(undated, b.Rows)
			s.run()
			start := await[events.TrainingStarted](s, nil).Data
			want := map[string]int64{"": 59, "window: {span: 40h}": 39, "holdout: {by: hash}": 60}[data]
			if rows := start.TrainRows + start.HoldoutRows; rows != want {
				t.Errorf("both parts have %d rows, want %d", rows, want)
			}
			warned := slices.ContainsFunc(start.Warnings, func(p events.Problem) bool {
				return p.Check == table.SplitUndated && p.Column == "time_hour" && p.Count == 1
			})
			if warned != (data != "holdout: {by: hash}") {
				t.Errorf("the run warns of %v", start.Warnings)
			}
		})
	}
}

// hoursOf returns the first and the last hour of a table and its number of rows.
func (s *env) hoursOf(refs ...events.Ref) (first, last time.Duration, rows int) {
	s.t.Helper()
	begin := time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)
	first = 1 << 60
	for _, ref := range refs {
		path, err := s.Artifacts.Path(functiontest.Context(s.t), ref)
		must(s.t, err)
		r, err := table.Open(path, []string{"time_hour"})
		must(s.t, err)
		b, err := r.Next(1000)
		must(s.t, err)
		for _, at := range b.Columns[0].Ints {
			hour := time.UnixMicro(at).Sub(begin)
			first, last = min(first, hour), max(last, hour)
		}
		rows += b.Rows
		must(s.t, r.Close())
	}
	return first, last, rows
}

// A fixed test file is held out whole, whatever the window and its times.
func TestHoldoutOfUploads(t *testing.T) {
	t.Parallel()
	const uploads = `holdout: {uploads: ["flights/1.parquet"]}`
	for data, want := range map[string]struct{ first, rows int }{
		uploads: {0, 120},
		uploads + "\n    window: {partitions: 1}": {60, 60},
		uploads + "\n    window: {span: 30h}":     {90, 30},
	} {
		t.Run(data, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, "exit 1", options{data: data})
			s.run()
			first := s.settled(s.upload(0, 60))
			if d := functiontest.Data[events.TrainingSkipped](t, first[0]); d.Reason != "there is no hold-out yet; upload a file that matches data.holdout.uploads: flights/1.parquet" {
				t.Errorf("without the test file: %+v", d)
			}
			s.upload(500, 40)
			if start := await[events.TrainingStarted](s, nil).Data; start.TrainRows > 60 || start.HoldoutRows != 40 {
				t.Errorf("got %d rows to train on and %d held out", start.TrainRows, start.HoldoutRows)
			}
			s.upload(60, 60)
			start := await(s, func(d events.TrainingStarted) bool { return strings.Contains(d.Reason, "60 new rows") }).Data
			var files []events.File
			must(t, json.Unmarshal([]byte(s.text(start.Train)), &files))
			var refs []events.Ref
			for _, f := range files {
				refs = append(refs, f.Ref)
			}
			from, to, rows := s.hoursOf(refs...)
			if from != time.Duration(want.first)*time.Hour || to != 119*time.Hour || rows != want.rows || start.TrainRows != int64(want.rows) {
				t.Errorf("trained on %d rows from %s to %s", rows, from, to)
			}
			from, to, held := s.hoursOf(start.Holdout)
			if from != 500*time.Hour || to != 539*time.Hour || held != 40 || len(start.Warnings) != 0 {
				t.Errorf("held out %d rows from %s to %s; warnings %v", held, from, to, start.Warnings)
			}
		})
	}
}
