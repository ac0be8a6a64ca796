package outcome

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"time"

	"millrace.dev/events"
)

// Metrics reads what a trainer appends to MILLRACE_METRICS: a JSON object a
// line, numbers by name, and the step. What is something else is passed over:
// a trainer must not fail because of how it tells of itself. It is not safe
// for concurrent use.
type Metrics struct {
	path   string
	offset int64
	rest   []byte // an unfinished line
	lines  int64
	// step and last are the newest values.
	step int64
	last map[string]float64
	// told is the step that was last announced, and when; the zero time for none.
	told   int64
	toldAt time.Time
}

// NewMetrics reads the file at path, which need not be there yet.
func NewMetrics(path string) *Metrics { return &Metrics{path: path} }

// What is taken of a metrics file.
const (
	maxMetrics     = 64
	maxMetricName  = 64
	maxMetricsLine = 64 << 10
	maxMetricsRead = 4 << 20
)

// read takes in what has come.
func (m *Metrics) read() {
	// A trainer may put anything in the file's place: a pipe would not let go.
	info, err := os.Lstat(m.path)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	f, err := os.Open(m.path)
	if err != nil {
		return
	}
	defer f.Close()
	if info.Size() < m.offset { // another attempt has begun
		*m = Metrics{path: m.path, told: m.told, toldAt: m.toldAt}
	}
	// A trainer that tells too much is not read in full, but its end is.
	if info.Size()-m.offset > maxMetricsRead {
		m.offset, m.rest = info.Size()-maxMetricsRead, nil
	}
	b, err := io.ReadAll(io.NewSectionReader(f, m.offset, maxMetricsRead))
	if err != nil {
		return
	}
	m.offset += int64(len(b))
	m.take(b)
}

func (m *Metrics) take(b []byte) {
	b = append(m.rest, b...)
	for {
		line, rest, found := bytes.Cut(b, []byte("\n"))
		if !found {
			break
		}
		m.line(line)
		b = rest
	}
	if len(b) > maxMetricsLine {
		b = nil
	}
	m.rest = bytes.Clone(b)
}

func (m *Metrics) line(line []byte) {
	var values map[string]any
	if len(line) > maxMetricsLine || json.Unmarshal(line, &values) != nil || values == nil {
		return
	}
	m.lines++
	m.step = m.lines
	if step, ok := values["step"].(float64); ok && step >= 0 && step <= 1<<53 {
		m.step = int64(math.Floor(step))
	}
	for name, value := range values {
		v, ok := value.(float64)
		_, known := m.last[name]
		if !ok || name == "step" || len(name) > maxMetricName || !known && len(m.last) >= maxMetrics {
			continue
		}
		if m.last == nil {
			m.last = map[string]float64{}
		}
		m.last[name] = v
	}
}

// Last reads what has come and gives the newest value of each metric.
func (m *Metrics) Last() map[string]float64 {
	m.read()
	return m.last
}

// Progress gives what is to be announced of the run that began at started, if
// anything is. What is given once is not given again, whether it could be
// announced or not: more comes, and the last values are part of the run's end.
func (m *Metrics) Progress(run string, now, started time.Time) (events.TrainingProgressed, bool) {
	if !m.due(now, started) {
		return events.TrainingProgressed{}, false
	}
	m.read()
	if m.last == nil || !m.toldAt.IsZero() && m.told == m.step {
		return events.TrainingProgressed{}, false
	}
	m.told, m.toldAt = m.step, now
	return events.TrainingProgressed{Run: run, Step: m.step, Metrics: maps.Clone(m.last)}, true
}

// due tells whether progress is to be announced: at most once a second, and
// ever more seldom in a long run, since the log forgets nothing.
func (m *Metrics) due(now, started time.Time) bool {
	return now.Sub(m.toldAt) >= max(time.Second, now.Sub(started)/100)
}
