package result

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMetricsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	m := Metrics{path: path}
	want := func(step int64, last map[string]float64) {
		t.Helper()
		m.read()
		if m.step != step || !cmp.Equal(m.last, last) {
			t.Errorf("step %d %v, want %d %v", m.step, m.last, step, last)
		}
	}
	want(0, nil) // no file yet
	add("{\"step\": 3, \"loss\": 0.5}\n{\"step\": 4, \"lo")
	want(3, map[string]float64{"loss": 0.5})
	add("ss\": 0.25}\n")
	want(4, map[string]float64{"loss": 0.25})
	add("garbage\n[1, 2]\nnull\n{\"loss\": NaN}\n{\"loss\": \"low\"}\n")
	want(3, map[string]float64{"loss": 0.25}) // the third line that counts, and it names no step
	add(`{"auc": 0.75, "step": 5.9}` + "\n" + `{"x": ` + strings.Repeat(" ", maxMetricsLine) + "1}\n")
	want(5, map[string]float64{"loss": 0.25, "auc": 0.75})
	if err := os.WriteFile(path, []byte("{\"step\": 1, \"loss\": 1}\n"), 0o600); err != nil { // another attempt
		t.Fatal(err)
	}
	want(1, map[string]float64{"loss": 1})
	add(strings.Repeat("x", 2*maxMetricsRead) + "\n{\"step\": 9, \"loss\": 2}\n")
	want(9, map[string]float64{"loss": 2})
}

func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	m := Metrics{}
	for i := range 3 * maxMetrics {
		m.line([]byte(`{"m` + strings.Repeat("x", i%maxMetrics) + `": 1, "` + strings.Repeat("n", i) + `": 2}`))
	}
	if len(m.last) > maxMetrics {
		t.Errorf("%d metrics are kept", len(m.last))
	}
}

func TestProgressIsSeldom(t *testing.T) {
	t.Parallel()
	begin := time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)
	m, told := Metrics{}, 0
	for now := begin; now.Before(begin.Add(24 * time.Hour)); now = now.Add(250 * time.Millisecond) {
		if m.due(now, begin) {
			m.announcedAt = now
			told++
		}
	}
	if told < 200 || told > 1000 {
		t.Errorf("a run of a day tells %d times of its progress", told)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("{\"step\": 3, \"loss\": 0.5}\n"), 5)
	f.Add([]byte("{\"step\": -1e300, \"a\": 1e308}\n{}\nnull\n"), 0)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		m := Metrics{}
		cut = max(0, min(cut, len(data)))
		m.take(data[:cut])
		m.take(data[cut:])
		whole := Metrics{}
		whole.take(data)
		if m.step != whole.step || !cmp.Equal(m.last, whole.last) || m.step < 0 {
			t.Errorf("in two parts: step %d %v; at once: step %d %v", m.step, m.last, whole.step, whole.last)
		}
		for name, v := range m.last {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s is %v, which no JSON can say", name, v)
			}
		}
	})
}
