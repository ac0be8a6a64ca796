package inference

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

// batches writes what the prediction logs cut to the local disk, and from
// there to the object store and the event log, each in a goroutine of its own:
// a store that is away holds up nothing but the second. A batch lies in the
// folder as <name>.parquet and <name>.json, which comes last and is removed
// first.
type batches struct {
	dir    string
	deps   function.Deps
	meters *meters
	logger *slog.Logger
	rows   int
	every  time.Duration
	canary time.Duration
	done   func()

	maxMemory, maxDisk int64
	memory, disk       atomic.Int64

	mu       sync.Mutex
	logs     []*predictionLog
	waiting  []*cut     // to be written
	pending  []*pending // to be announced
	draining bool
	stuck    bool // what is pending could not be announced while draining

	file []byte // memory of the goroutine that encodes

	toWrite, toShip, progress chan struct{}
	hurry                     chan struct{} // closed when draining begins
}

// pending is a batch on its way. Its JSON is what lies on the disk.
type pending struct {
	Pipeline string `json:"pipeline"`
	// File is the batch's file, "" when it has no rows.
	File string `json:"file,omitempty"`
	// Name makes two batches without rows two.
	Name  string                   `json:"name"`
	Event events.PredictionsLogged `json:"event"`
	size  int64
}

const (
	rowsSuffix = ".parquet"
	noteSuffix = ".json"
	// filePerm keeps what people asked from other users of the machine.
	filePerm = 0o600
)

func openBatches(dir string, f *F) (*batches, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the prediction log: %w", err)
	}
	b := &batches{
		dir: dir, deps: f.deps, meters: f.meters, logger: f.deps.Logger,
		rows: f.cfg.LogRows, every: f.cfg.LogEvery, canary: f.cfg.LogEveryCanary, done: f.tasks.Done,
		maxMemory: f.cfg.LogMemoryBytes, maxDisk: f.cfg.LogDiskBytes,
		toWrite: make(chan struct{}, 1), toShip: make(chan struct{}, 1), progress: make(chan struct{}, 1),
		hurry: make(chan struct{}),
	}
	if err := b.takeUp(); err != nil {
		return nil, fmt.Errorf("take up the prediction log in %s: %w", dir, err)
	}
	return b, nil
}

// takeUp finds what an earlier process has written and not announced.
func (b *batches) takeUp() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range entries { // by name, which is by age
		if !strings.HasSuffix(e.Name(), noteSuffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(b.dir, e.Name()))
		if err != nil {
			return err
		}
		var p pending
		if err := json.Unmarshal(raw, &p); err != nil || filepath.Base(p.File) != p.File && p.File != "" || p.Name+noteSuffix != e.Name() {
			b.logger.Error("a note of the prediction log cannot be read and is left out", "file", e.Name(), "error", err)
			continue
		}
		known[e.Name()] = true
		if p.File != "" {
			known[p.File] = true
			if info, err := os.Stat(filepath.Join(b.dir, p.File)); err == nil {
				p.size = info.Size()
			}
		}
		b.enqueue(&p)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			// Half of a batch: the process ended while it was being written.
			if err := os.Remove(filepath.Join(b.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batches) join(l *predictionLog) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs = append(b.logs, l)
}

// reserve takes memory for rows; false when there is none left.
func (b *batches) reserve(cost int64) bool {
	if b.memory.Add(cost) > b.maxMemory {
		b.memory.Add(-cost)
		return false
	}
	return true
}

// write takes a cut to be written.
func (b *batches) write(c *cut) {
	b.mu.Lock()
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	signal(b.toWrite)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// encode writes cuts to the disk until ctx ends.
func (b *batches) encode(ctx context.Context) {
	defer b.done()
	tick := time.NewTicker(min(max(b.canary/8, 5*time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.mu.Lock()
			logs := b.logs
			b.mu.Unlock()
			for _, l := range logs {
				l.due(b.every, b.canary)
			}
		case <-b.toWrite:
		}
		for {
			b.mu.Lock()
			if len(b.waiting) == 0 {
				b.mu.Unlock()
				break
			}
			c := b.waiting[0]
			b.mu.Unlock()
			b.store(ctx, c)
			b.mu.Lock()
			b.waiting = b.waiting[1:]
			b.mu.Unlock()
			signal(b.progress)
		}
	}
}

// store writes a cut: a batch for each layout, the traffic with the first.
func (b *batches) store(ctx context.Context, c *cut) {
	if len(c.tables) == 0 {
		b.storeBatch(ctx, c, nil, true)
	}
	for i, t := range c.tables {
		b.storeBatch(ctx, c, t, i == 0)
		b.memory.Add(-t.cost)
		t.put()
	}
}

func (b *batches) storeBatch(ctx context.Context, c *cut, t *rows, traffic bool) {
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
		if err := b.storeRows(p, t); err != nil {
			b.logger.ErrorContext(ctx, "rows of the prediction log are dropped", "pipeline", c.pipeline, "rows", rows, "error", err)
			b.meters.dropped.WithLabelValues(c.pipeline).Add(float64(rows))
			p.Event.Dropped += rows
		} else {
			p.Event.Rows = rows
			b.meters.rows.WithLabelValues(c.pipeline).Add(float64(rows))
		}
	}
	failpoint.Hit("predictions.before")
	if err := b.note(p); err != nil {
		// It is announced all the same, unless this process ends before.
		b.logger.ErrorContext(ctx, "a note of the prediction log cannot be written", "pipeline", c.pipeline, "error", err)
	}
	failpoint.Hit("predictions.noted")
	b.enqueue(p)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

var errDiskBudget = errors.New("too many batches wait on the local disk for the object store or the event log (MILLRACE_INFERENCE_LOG_DISK_BYTES)")

func (b *batches) storeRows(p *pending, t *rows) error {
	if b.disk.Load() > b.maxDisk {
		return errDiskBudget
	}
	file, err := t.layout.encode(b.file[:0], &t.batch)
	if err != nil {
		return err
	}
	b.file = file
	path := filepath.Join(b.dir, p.Name+rowsSuffix)
	// A file that is cut off has no note, and is removed at the next start.
	if err := os.WriteFile(path, file, filePerm); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	p.File, p.size = filepath.Base(path), int64(len(file))
	return nil
}

// note makes the batch one that will be announced, whatever happens.
func (b *batches) note(p *pending) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, p.Name+noteSuffix)
	temp := filepath.Join(b.dir, "."+p.Name+noteSuffix)
	if err := os.WriteFile(temp, raw, filePerm); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

func (b *batches) enqueue(p *pending) {
	b.meters.pendingBytes.Set(float64(b.disk.Add(p.size)))
	b.mu.Lock()
	b.pending = append(b.pending, p)
	b.mu.Unlock()
	signal(b.toShip)
}

// ship brings batches to the object store and announces them, in their order,
// until ctx ends.
func (b *batches) ship(ctx context.Context) {
	defer b.done()
	pause, hurry := firstRetry/4, b.hurry
	for ctx.Err() == nil {
		b.mu.Lock()
		var p *pending
		if len(b.pending) > 0 {
			p = b.pending[0]
		}
		b.mu.Unlock()
		if p == nil {
			select {
			case <-ctx.Done():
			case <-b.toShip:
			}
			continue
		}
		err := b.announce(ctx, p)
		if err == nil {
			pause = firstRetry / 4
			b.shipped(p)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		b.meters.batches.WithLabelValues("failed").Inc()
		b.logger.ErrorContext(ctx, "a batch of the prediction log cannot be announced now; it is kept and tried again", "pipeline", p.Pipeline, "error", err, "after", pause)
		b.mu.Lock()
		b.stuck = b.draining
		b.mu.Unlock()
		signal(b.progress)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-hurry:
			hurry = nil // once more, at once
		}
		pause = min(2*pause, maxRetry)
	}
}

// announceTimeout bounds one attempt.
const announceTimeout = 30 * time.Second

func (b *batches) announce(ctx context.Context, p *pending) (err error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	if p.File != "" {
		p.Event.Batch, err = b.deps.Artifacts.PutFile(ctx, filepath.Join(b.dir, p.File), rowsSuffix, false)
		if errors.Is(err, fs.ErrNotExist) {
			b.logger.ErrorContext(ctx, "a batch of the prediction log has gone from the local disk", "pipeline", p.Pipeline, "rows", p.Event.Rows, "error", err)
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
		if p.Event.Batch, err = b.deps.Artifacts.PutBytes(ctx, raw, noteSuffix); err != nil {
			return err
		}
	}
	_, err = b.deps.Log.Append(ctx, eventlog.Commit{Pipeline: p.Pipeline, Function: Name, Data: []events.Data{p.Event}})
	return err
}

// shipped forgets a batch that has been announced.
func (b *batches) shipped(p *pending) {
	failpoint.Hit("predictions.announced")
	err := os.Remove(filepath.Join(b.dir, p.Name+noteSuffix))
	failpoint.Hit("predictions.forgotten")
	if p.File != "" {
		err = errors.Join(err, os.Remove(filepath.Join(b.dir, p.File)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.logger.Error("a batch that was announced cannot be removed from the local disk", "error", err)
	}
	b.meters.batches.WithLabelValues("announced").Inc()
	b.meters.pendingBytes.Set(float64(b.disk.Add(-p.size)))
	b.mu.Lock()
	b.pending = b.pending[1:]
	b.mu.Unlock()
	signal(b.progress)
}

// drain hands over what the logs have gathered, and waits until it has been
// announced, an attempt has failed, or ctx ends.
func (b *batches) drain(ctx context.Context) error {
	b.mu.Lock()
	if !b.draining {
		close(b.hurry)
	}
	b.draining = true
	logs := b.logs
	b.mu.Unlock()
	for _, l := range logs {
		l.due(0, 0)
	}
	for {
		b.mu.Lock()
		waiting, left, stuck := len(b.waiting), len(b.pending), b.stuck
		b.mu.Unlock()
		if waiting == 0 && (left == 0 || stuck || ctx.Err() != nil) {
			if left > 0 {
				b.logger.Warn("batches of the prediction log are left on the disk and are announced at the next start", "batches", left)
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d batches of the prediction log could not be written in time: %w", waiting, context.Cause(ctx))
		}
		select {
		case <-b.progress:
		case <-ctx.Done():
		}
	}
}
