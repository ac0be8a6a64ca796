package predictionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/eventlog"
	"millrace.dev/shared/failpoint"
	"millrace.dev/shared/function"
)

// Options are an installation's settings of the prediction log.
type Options struct {
	// Function emits the batches.
	Function string
	// Rows and Every determine when a batch is written; EveryCanary while a
	// rollout waits for evidence.
	Rows               int
	Every, EveryCanary time.Duration
	// MaxMemory bounds the rows in memory, MaxDisk the batches on the local disk,
	// in bytes.
	MaxMemory, MaxDisk int64
}

// Writer writes what the logs hand over to the local disk, and from there to
// the object store and the event log, each in a goroutine of its own: a store
// that is away delays only the second. A batch is in the folder as
// <name>.parquet and <name>.json, which is written last and removed first. It
// is safe for concurrent use.
type Writer struct {
	dir     string
	deps    function.Deps
	options Options
	metrics *metrics
	logger  *slog.Logger

	memory, disk atomic.Int64

	mu       sync.Mutex
	logs     []*Log
	waiting  []*buffer  // to be written
	pending  []*pending // to be emitted
	draining bool
	stuck    bool // what is pending could not be emitted while draining

	file []byte // memory of the goroutine that encodes

	toWrite, toShip, progress chan struct{}
	hurry                     chan struct{} // closed when draining begins
}

// pending is a batch on its way. Its JSON is the note on the disk.
type pending struct {
	Pipeline string `json:"pipeline"`
	// File is the batch's file, "" when it has no rows.
	File string `json:"file,omitempty"`
	// Name distinguishes batches without rows.
	Name  string                   `json:"name"`
	Event events.PredictionsLogged `json:"event"`
	size  int64
}

const (
	rowsSuffix = ".parquet"
	noteSuffix = ".json"
	// filePerm hides requests from other users of the machine.
	filePerm = 0o600
)

// Open returns a Writer in the folder dir, with the batches that an earlier
// process has written there and not emitted.
func Open(dir string, o Options, deps function.Deps) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the prediction log: %w", err)
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register the metrics of the prediction log: %w", err)
	}
	w := &Writer{
		dir: dir, deps: deps, options: o, metrics: m, logger: deps.Logger,
		toWrite: make(chan struct{}, 1), toShip: make(chan struct{}, 1), progress: make(chan struct{}, 1),
		hurry: make(chan struct{}),
	}
	if err := w.takeUp(); err != nil {
		return nil, fmt.Errorf("take up the prediction log in %s: %w", dir, err)
	}
	return w, nil
}

// Run writes and emits batches until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { w.write(ctx) })
	loops.Go(func() { w.ship(ctx) })
	loops.Wait()
}

// takeUp finds what an earlier process has written and not emitted.
func (w *Writer) takeUp() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range entries { // by name, which is by age
		if !strings.HasSuffix(e.Name(), noteSuffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(w.dir, e.Name()))
		if err != nil {
			return err
		}
		var p pending
		if err := json.Unmarshal(raw, &p); err != nil || filepath.Base(p.File) != p.File && p.File != "" || p.Name+noteSuffix != e.Name() {
			w.logger.ErrorContext(context.Background(), "a note of the prediction log cannot be read and is left out", "file", e.Name(), "error", err)
			continue
		}
		known[e.Name()] = true
		if p.File != "" {
			known[p.File] = true
			if info, err := os.Stat(filepath.Join(w.dir, p.File)); err == nil {
				p.size = info.Size()
			}
		}
		w.enqueue(&p)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			// Half of a batch: the process ended while it was being written.
			if err := os.Remove(filepath.Join(w.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Writer) join(l *Log) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, l)
}

// reserve takes memory for rows; false if not enough is left.
func (w *Writer) reserve(cost int64) bool {
	if w.memory.Add(cost) > w.options.MaxMemory {
		w.memory.Add(-cost)
		return false
	}
	return true
}

// queue takes a buffer to be written.
func (w *Writer) queue(c *buffer) {
	w.mu.Lock()
	w.waiting = append(w.waiting, c)
	w.mu.Unlock()
	signal(w.toWrite)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write writes queued buffers to the disk until ctx ends.
func (w *Writer) write(ctx context.Context) {
	tick := time.NewTicker(min(max(w.options.EveryCanary/8, 5*time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.mu.Lock()
			logs := w.logs
			w.mu.Unlock()
			for _, l := range logs {
				l.flush(w.options.Every, w.options.EveryCanary)
			}
		case <-w.toWrite:
		}
		for {
			w.mu.Lock()
			if len(w.waiting) == 0 {
				w.mu.Unlock()
				break
			}
			c := w.waiting[0]
			w.mu.Unlock()
			w.store(ctx, c)
			w.mu.Lock()
			w.waiting = w.waiting[1:]
			w.mu.Unlock()
			signal(w.progress)
		}
	}
}

// store writes a buffer: a batch for each layout, the traffic with the first.
func (w *Writer) store(ctx context.Context, c *buffer) {
	if len(c.tables) == 0 {
		w.storeBatch(ctx, c, nil, true)
	}
	for i, t := range c.tables {
		w.storeBatch(ctx, c, t, i == 0)
		w.memory.Add(-t.cost)
		t.put()
	}
}

func (w *Writer) storeBatch(ctx context.Context, c *buffer, t *rows, traffic bool) {
	p := &pending{
		Pipeline: c.pipeline,
		Name:     fmt.Sprintf("%019d-%08x", time.Now().UnixNano(), rand.Uint32()),
		Event:    events.PredictionsLogged{From: stamp(c.from), To: stamp(c.to), Mirrored: c.mirrored},
	}
	if traffic {
		p.Event.Versions, p.Event.Dropped = c.traffic, c.dropped
	}
	if t != nil {
		rows := int64(t.batch.Rows)
		if err := w.storeRows(p, t); err != nil {
			w.logger.ErrorContext(ctx, "rows of the prediction log are dropped", "pipeline", c.pipeline, "rows", rows, "error", err)
			w.metrics.dropped.WithLabelValues(c.pipeline).Add(float64(rows))
			p.Event.Dropped += rows
		} else {
			p.Event.Rows = rows
			w.metrics.rows.WithLabelValues(c.pipeline).Add(float64(rows))
		}
	}
	failpoint.Hit("predictions.before")
	if err := w.note(p); err != nil {
		// It is emitted all the same, unless this process ends before.
		w.logger.ErrorContext(ctx, "a note of the prediction log cannot be written", "pipeline", c.pipeline, "error", err)
	}
	failpoint.Hit("predictions.noted")
	w.enqueue(p)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

var errDiskBudget = errors.New("too many batches wait on the local disk for the object store or the event log (MILLRACE_INFERENCE_LOG_DISK_BYTES)")

func (w *Writer) storeRows(p *pending, t *rows) error {
	if w.disk.Load() > w.options.MaxDisk {
		return errDiskBudget
	}
	file, err := t.layout.encode(w.file[:0], &t.batch)
	if err != nil {
		return err
	}
	w.file = file
	path := filepath.Join(w.dir, p.Name+rowsSuffix)
	// A file that is cut off has no note, and is removed at the next start.
	if err := os.WriteFile(path, file, filePerm); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	p.File, p.size = filepath.Base(path), int64(len(file))
	return nil
}

// note writes the batch's note: from then on the batch will be emitted.
func (w *Writer) note(p *pending) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, p.Name+noteSuffix)
	temp := filepath.Join(w.dir, "."+p.Name+noteSuffix)
	if err := os.WriteFile(temp, raw, filePerm); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

func (w *Writer) enqueue(p *pending) {
	w.metrics.pendingBytes.Set(float64(w.disk.Add(p.size)))
	w.mu.Lock()
	w.pending = append(w.pending, p)
	w.mu.Unlock()
	signal(w.toShip)
}

// ship brings batches to the object store and emits them, in their order,
// until ctx ends.
func (w *Writer) ship(ctx context.Context) {
	pause, hurry := firstRetry, w.hurry
	for ctx.Err() == nil {
		w.mu.Lock()
		var p *pending
		if len(w.pending) > 0 {
			p = w.pending[0]
		}
		w.mu.Unlock()
		if p == nil {
			select {
			case <-ctx.Done():
			case <-w.toShip:
			}
			continue
		}
		err := w.announce(ctx, p)
		if err == nil {
			pause = firstRetry
			w.shipped(ctx, p)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		w.metrics.batches.WithLabelValues("failed").Inc()
		w.logger.ErrorContext(ctx, "a batch of the prediction log cannot be announced now; it is kept and tried again", "pipeline", p.Pipeline, "error", err, "after", pause)
		w.mu.Lock()
		w.stuck = w.draining
		w.mu.Unlock()
		signal(w.progress)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-hurry:
			hurry = nil // once more, at once
		}
		pause = min(2*pause, maxRetry)
	}
}

// The pauses between attempts to emit a batch.
const (
	firstRetry = 250 * time.Millisecond
	maxRetry   = 30 * time.Second
)

// announceTimeout bounds one attempt.
const announceTimeout = 30 * time.Second

func (w *Writer) announce(ctx context.Context, p *pending) (err error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	if p.File != "" {
		p.Event.Batch, err = w.deps.Artifacts.PutFile(ctx, filepath.Join(w.dir, p.File), rowsSuffix, false)
		if errors.Is(err, fs.ErrNotExist) {
			w.logger.ErrorContext(ctx, "a batch of the prediction log has disappeared from the local disk", "pipeline", p.Pipeline, "rows", p.Event.Rows, "error", err)
			p.Event.Dropped += p.Event.Rows
			p.File, p.Event.Rows = "", 0
		} else if err != nil {
			return err
		}
	}
	if p.File == "" {
		// Without rows the batch is its own note, which no other one equals.
		raw, err := json.Marshal(pending{Pipeline: p.Pipeline, Name: p.Name, Event: events.PredictionsLogged{
			From: p.Event.From, To: p.Event.To, Versions: p.Event.Versions, Dropped: p.Event.Dropped, Mirrored: p.Event.Mirrored,
		}})
		if err != nil {
			return err
		}
		if p.Event.Batch, err = w.deps.Artifacts.PutBytes(ctx, raw, noteSuffix); err != nil {
			return err
		}
	}
	_, err = w.deps.Log.Append(ctx, eventlog.Commit{Pipeline: p.Pipeline, Function: w.options.Function, Data: []events.Data{p.Event}})
	return err
}

// shipped forgets a batch that has been emitted.
func (w *Writer) shipped(ctx context.Context, p *pending) {
	failpoint.Hit("predictions.announced")
	err := os.Remove(filepath.Join(w.dir, p.Name+noteSuffix))
	failpoint.Hit("predictions.forgotten")
	if p.File != "" {
		err = errors.Join(err, os.Remove(filepath.Join(w.dir, p.File)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.logger.ErrorContext(ctx, "a batch that was announced cannot be removed from the local disk", "error", err)
	}
	w.metrics.batches.WithLabelValues("announced").Inc()
	w.metrics.pendingBytes.Set(float64(w.disk.Add(-p.size)))
	w.mu.Lock()
	w.pending = w.pending[1:]
	w.mu.Unlock()
	signal(w.progress)
}

// Drain hands over what the logs have gathered, and waits until it has been
// emitted, an attempt has failed, or ctx ends.
func (w *Writer) Drain(ctx context.Context) error {
	w.mu.Lock()
	if !w.draining {
		close(w.hurry)
	}
	w.draining = true
	logs := w.logs
	w.mu.Unlock()
	for _, l := range logs {
		l.flush(0, 0)
	}
	for {
		w.mu.Lock()
		waiting, left, stuck := len(w.waiting), len(w.pending), w.stuck
		w.mu.Unlock()
		if waiting == 0 && (left == 0 || stuck || ctx.Err() != nil) {
			if left > 0 {
				w.logger.WarnContext(ctx, "batches of the prediction log are left on the disk and are announced at the next start", "batches", left)
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d batches of the prediction log could not be written in time: %w", waiting, context.Cause(ctx))
		}
		select {
		case <-w.progress:
		case <-ctx.Done():
		}
	}
}
