package trainlauncher_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"millrace.dev/events"
	"millrace.dev/shared/table"
)

// prices is a partition of the hours from on, with a price that says which
// partition it is.
func prices(t testing.TB, path string, from, rows, price int) {
	t.Helper()
	plain := filepath.Join(t.TempDir(), "plain.parquet")
	hours(t, plain, from, rows)
	r, err := table.Open(plain, nil)
	must(t, err)
	b, err := r.Next(rows)
	must(t, err)
	distance := b.Column("distance")
	for i := range distance.Floats {
		distance.Floats[i] = float64(price)
	}
	w, err := table.Create(path, b.Schema)
	must(t, err)
	defer w.Abort()
	must(t, w.Write(b))
	must(t, w.Close())
	must(t, r.Close())
}

// rowsBy counts the rows of files by their distance.
func (s *env) rowsBy(refs ...events.Ref) map[float64]int {
	s.t.Helper()
	counts := map[float64]int{}
	for _, ref := range refs {
		path, err := s.Artifacts.Path(s.t.Context(), ref)
		must(s.t, err)
		r, err := table.Open(path, []string{"distance"})
		must(s.t, err)
		b, err := r.Next(1000)
		must(s.t, err)
		for _, d := range b.Columns[0].Floats {
			counts[d]++
		}
		must(s.t, r.Close())
	}
	return counts
}

// trainFiles are the files of a run's train part.
func (s *env) trainFiles(start events.TrainingStarted) (refs []events.Ref) {
	s.t.Helper()
	var files []events.File
	must(s.t, json.Unmarshal([]byte(s.text(start.Train)), &files))
	for _, f := range files {
		refs = append(refs, f.Ref)
	}
	return refs
}

// TestNewestRowsAreTrainedOn: of the rows with one key the newest counts, by the
// order of uploads, also against partitions outside of the window.
func TestNewestRowsAreTrainedOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data       string
		counts     map[float64]int // of both parts
		superseded int64
	}{
		"All": {"key: [time_hour]", map[float64]int{1: 40, 2: 10, 3: 30}, 70},
		// The second partition is the oldest: a newer one supersedes 40 of its rows, and one within it 10 more.
		"Window":  {"key: [time_hour]\n    window: {partitions: 2}", map[float64]int{2: 10, 3: 30}, 50},
		"Without": {"window: {partitions: 2}", map[float64]int{2: 60, 3: 30}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newEnv(t, "exit 1", options{data: test.data, train: "on: []"})
			for i, p := range []struct{ from, rows, sequence int }{{0, 60, 2}, {20, 60, 1}, {40, 30, 3}} {
				path := filepath.Join(t.TempDir(), "p.parquet")
				prices(t, path, p.from, p.rows, i+1)
				s.admitAs(path, p.rows, p.sequence)
			}
			s.run()
			s.request(events.TrainingRequested{})
			start := await[events.TrainingStarted](s, nil).Data
			got := s.rowsBy(append(s.trainFiles(start), start.Holdout)...)
			if len(got) != len(test.counts) || start.Superseded != test.superseded {
				t.Errorf("rows by partition %v, %d superseded", got, start.Superseded)
			}
			for price, n := range test.counts {
				if got[price] != n {
					t.Errorf("%d rows of partition %v, want %d", got[price], price, n)
				}
			}
		})
	}
}
