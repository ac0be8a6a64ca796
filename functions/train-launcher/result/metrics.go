package result

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"path/filepath"
	"time"

	"millrace.dev/events"
	"millrace.dev/functions/train-launcher/runner"
)

// Metrics reads what a trainer appends to MILLRACE_METRICS: one JSON object per
// line, with numbers by name and the step. Anything else is ignored: malformed
// metrics must not fail a run. It is not safe for concurrent use.
type Metrics struct {
	path   string
	offset int64
	rest   []byte // an unfinished line
	lines  int64
	// step and last are the newest values.
	step int64
	last map[string]float64
	// announced is the step that was last emitted, announcedAt when; the zero
	// time if none was.
	announced   int64
	announcedAt time.Time
}

// NewMetrics returns the Metrics of the file at path, which need not exist yet.
func NewMetrics(path string) *Metrics { return &Metrics{path: path} }

// Limits of a metrics file: names, bytes of a name, of a line and of one read.
const (
	maxMetrics     = 64
	maxMetricName  = 64
	maxMetricsLine = 64 << 10
	maxMetricsRead = 4 << 20
)

// read reads what was appended since the last call.
func (m *Metrics) read() {
	// A trainer may replace the file with anything.
	f, err := runner.Folder(filepath.Dir(m.path)).Open(filepath.Base(m.path))
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return
	}
	if info.Size() < m.offset { // another attempt has begun
		*m = Metrics{path: m.path, announced: m.announced, announcedAt: m.announcedAt}
	}
	// If too much was appended, only the end is read.
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

// Last returns the newest value of each metric.
func (m *Metrics) Last() map[string]float64 {
	m.read()
	return m.last
}

// Progress returns the progress to emit of a run that began at started, false
// if there is nothing to emit. It returns a step once, whether it could be emitted or not:
// later steps follow, and the run's end has the last values.
func (m *Metrics) Progress(run string, now, started time.Time) (events.TrainingProgressed, bool) {
	if !m.due(now, started) {
		return events.TrainingProgressed{}, false
	}
	m.read()
	if m.last == nil || !m.announcedAt.IsZero() && m.announced == m.step {
		return events.TrainingProgressed{}, false
	}
	m.announced, m.announcedAt = m.step, now
	return events.TrainingProgressed{Run: run, Step: m.step, Metrics: maps.Clone(m.last)}, true
}

// due reports whether progress is to be emitted: at most once a second, and less
// often in a long run, since the log keeps every event.
func (m *Metrics) due(now, started time.Time) bool {
	return now.Sub(m.announcedAt) >= max(time.Second, now.Sub(started)/100)
}
