package trainlauncher

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
)

// metrics reads what a trainer appends to MILLRACE_METRICS: a JSON object a
// line, numbers by name, and the step. What is something else is passed over:
// a trainer must not fail because of how it tells of itself.
type metrics struct {
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

// What is taken of a metrics file.
const (
	maxMetrics     = 64
	maxMetricName  = 64
	maxMetricsLine = 64 << 10
	maxMetricsRead = 4 << 20
)

// read takes in what has come.
func (m *metrics) read() {
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
		*m = metrics{path: m.path, told: m.told, toldAt: m.toldAt}
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

func (m *metrics) take(b []byte) {
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

func (m *metrics) line(line []byte) {
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

// due tells whether progress is to be announced: at most once a second, and
// ever more seldom in a long run, since the log forgets nothing.
func (m *metrics) due(now, started time.Time) bool {
	return now.Sub(m.toldAt) >= max(time.Second, now.Sub(started)/100)
}

// tell announces the run's progress, if there is some. What can't be announced
// is not missed: more comes, and the last values are part of the run's end.
func (f *F) tell(ctx context.Context, t *task, said *metrics, now time.Time) {
	if !said.due(now, t.run.Started) {
		return
	}
	said.read()
	if said.last == nil || !said.toldAt.IsZero() && said.told == said.step {
		return
	}
	said.told, said.toldAt = said.step, now
	if err := f.announce(ctx, t, events.TrainingProgressed{Run: t.run.Run, Step: said.step, Metrics: maps.Clone(said.last)}); err != nil && ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, "progress can't be announced", "pipeline", t.pipeline, "run", t.run.Run, "error", err)
	}
}

// announce puts what became of a run into the log. Its data makes its own
// cause: said twice, or by two, it stands there once.
func (f *F) announce(ctx context.Context, t *task, d events.Data) error {
	_, err := f.deps.Log.Append(ctx, eventlog.Commit{Pipeline: t.pipeline, Function: Name, Parent: t.started, Data: []events.Data{d}})
	return err
}
