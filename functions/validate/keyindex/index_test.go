package keyindex_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"millrace.dev/functions/validate/keyindex"
	"millrace.dev/shared/artifact"
	"millrace.dev/shared/table"
)

func openStore(t testing.TB) *artifact.Store {
	t.Helper()
	s, err := artifact.OpenStore(t.Context(), "file://"+t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// key is the synthetic digest of a number.
func key(n uint64) table.Key {
	x := (n + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return table.Key{Hi: x ^ x>>31, Lo: x * 0x9e3779b97f4a7c15}
}

func run(t testing.TB, store *artifact.Store, dir, object string, keys func(yield func(uint64) bool)) keyindex.Run {
	t.Helper()
	sorter, err := keyindex.NewSorter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sorter.Close(); err != nil {
			t.Error(err)
		}
	}()
	for k := range keys {
		if err := sorter.Add(key(k)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := sorter.Put(t.Context(), store, dir, keyindex.Partition{Object: object, Digest: object})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestIndexFindsWhatAMapFinds compares an index with a map over partitions that
// come, are replaced and leave.
func TestIndexFindsWhatAMapFinds(t *testing.T) {
	t.Parallel()
	store, dir := openStore(t), t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	ix := keyindex.Index{Columns: []string{"id"}}
	live := map[keyindex.Partition]bool{}
	has := map[string][]uint64{}
	for i := range 200 {
		object := fmt.Sprint("p", i)
		keys := make([]uint64, rng.IntN(1+i)*rng.IntN(20))
		for k := range keys {
			keys[k] = rng.Uint64N(50_000)
		}
		added := run(t, store, dir, object, slices.Values(keys))
		if i%10 == 9 {
			checkFind(t, store, ix, added, live, has, keys)
		}
		live[added.Partitions[0]], has[object] = true, keys
		if gone := fmt.Sprint("p", rng.IntN(i+1)); i%3 == 0 {
			delete(has, gone)
			delete(live, keyindex.Partition{Object: gone, Digest: gone})
		}
		next, err := ix.With(t.Context(), store, dir, added, live)
		if err != nil {
			t.Fatal(err)
		}
		ix = next
	}
	if n := len(ix.Runs); n > 40 {
		t.Errorf("%d runs of 200 partitions", n)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func checkFind(t *testing.T, store *artifact.Store, ix keyindex.Index, want keyindex.Run, live map[keyindex.Partition]bool, has map[string][]uint64, keys []uint64) {
	t.Helper()
	type match struct {
		key    table.Key
		object string
	}
	expected := map[match]bool{}
	for object, theirs := range has {
		for _, k := range theirs {
			if slices.Contains(keys, k) {
				expected[match{keyindex.Shorten(key(k)), object}] = true
			}
		}
	}
	got := map[match]bool{}
	err := ix.Find(t.Context(), store, want, live, func(m keyindex.Match) {
		at := match{m.Key(), m.Partition.Object}
		if got[at] {
			t.Errorf("%v is found twice", at)
		}
		got[at] = true
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(expected) {
		t.Errorf("found %d keys, want %d", len(got), len(expected))
	}
	for m := range got {
		if !expected[m] {
			t.Errorf("%v is not in any live partition", m)
		}
	}
}

// TestFewKeysAmongMany looks up keys by binary search: the first, the last, some
// between and some that are not there.
func TestFewKeysAmongMany(t *testing.T) {
	t.Parallel()
	store, dir := openStore(t), t.TempDir()
	const all = 300_000
	big := run(t, store, dir, "big", numbers(0, all))
	live := map[keyindex.Partition]bool{big.Partitions[0]: true}
	ix, err := keyindex.Index{}.With(t.Context(), store, dir, big, live)
	if err != nil {
		t.Fatal(err)
	}
	// The least and the greatest of the keys are among those looked for.
	sorted := slices.SortedFunc(numbers(0, all), func(a, b uint64) int {
		if key(a).Hi < key(b).Hi {
			return -1
		}
		return 1
	})
	wanted := append(slices.Collect(numbers(all, all+50)), sorted[0], sorted[1], sorted[all/2], sorted[all-2], sorted[all-1])
	found := 0
	err = ix.Find(t.Context(), store, run(t, store, dir, "few", slices.Values(wanted)), live, func(keyindex.Match) { found++ })
	if err != nil || found != 5 {
		t.Errorf("found %d of 5: %v", found, err)
	}
}

func numbers(from, to uint64) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for k := from; k < to; k++ {
			if !yield(k) {
				return
			}
		}
	}
}

// BenchmarkHundredMillionKeys indexes partitions of a million keys (as many as
// MILLRACE_BENCH_PARTITIONS says, default 10) and looks for those of another one.
// It reports the process's peak memory.
func BenchmarkHundredMillionKeys(b *testing.B) {
	n := 10
	if text := os.Getenv("MILLRACE_BENCH_PARTITIONS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	const size = 1_000_000
	store, dir := openStore(b), b.TempDir()
	ix, live := keyindex.Index{}, map[keyindex.Partition]bool{}
	for i := range n {
		r := run(b, store, dir, fmt.Sprint("p", i), numbers(uint64(i*size), uint64((i+1)*size)))
		live[r.Partitions[0]] = true
		next, err := ix.With(b.Context(), store, dir, r, live)
		if err != nil {
			b.Fatal(err)
		}
		ix = next
	}
	large := run(b, store, dir, "large", numbers(uint64(n*size-10), uint64((n+1)*size)))
	small := run(b, store, dir, "small", numbers(uint64(n*size-10), uint64(n*size+1000)))
	debug.FreeOSMemory()
	for _, looked := range []keyindex.Run{large, small} {
		b.Run(fmt.Sprintf("Find%d", looked.Keys), func(b *testing.B) {
			for b.Loop() {
				found := 0
				if err := ix.Find(b.Context(), store, looked, live, func(keyindex.Match) { found++ }); err != nil || found != 10 {
					b.Fatalf("found %d of 10: %v", found, err)
				}
			}
			b.ReportMetric(peak(b), "MiB-peak")
			b.ReportMetric(float64(len(ix.Runs)), "runs")
		})
	}
}

// peak is the most memory that the process has had, in MiB.
func peak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	return 0
}
