package batcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/config"
	"millrace.dev/shared/onnx"
)

// features are those of the model lightgbm of shared/onnx.
var features = []onnx.Feature{
	{Name: "carrier", Type: onnx.String}, {Name: "origin", Type: onnx.String}, {Name: "hour", Type: onnx.Int},
	{Name: "distance", Type: onnx.Float}, {Name: "temp", Type: onnx.Float}, {Name: "weekend", Type: onnx.Bool},
}

// open returns a model and a Batcher of its requests.
func open(t *testing.T, b config.Batch) (*Batcher, *onnx.Model) {
	t.Helper()
	library := ""
	if os.Getenv("MILLRACE_ONNXRUNTIME") == "" {
		library = filepath.Join("..", "..", "..", "bin", "lib", "libonnxruntime.so")
	}
	if err := onnx.Init(library); err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Open(filepath.Join("..", "..", "..", "shared", "onnx", "testdata", "lightgbm.onnx"), onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if err := m.Check(onnx.Contract{Task: onnx.BinaryClassification, Features: features, Classes: []string{"false", "true"}}); err != nil {
		t.Fatal(err)
	}
	return New(m, b, prometheus.NewHistogram(prometheus.HistogramOpts{})), m
}

// madeUp returns a batch of so many rows.
func madeUp(rows int) *onnx.Batch {
	b := &onnx.Batch{Rows: rows}
	for _, f := range features {
		b.Columns = append(b.Columns, onnx.Column{
			Name: f.Name, Strings: make([]string, rows), Ints: make([]int64, rows), Floats: make([]float64, rows), Bools: make([]bool, rows),
		})
	}
	return b
}

// TestOneBadRequest lets the model fail for one of two.
func TestOneBadRequest(t *testing.T) {
	g, m := open(t, config.Batch{MaxRows: 8})
	g.runs = 0 // every request waits
	bad, good := madeUp(1), madeUp(2)
	bad.Columns[0].Name = "other"
	type end struct {
		of  *onnx.Batch
		out onnx.Scores
		err error
	}
	ends := make(chan *end, 3)
	for _, b := range []*onnx.Batch{good, bad, madeUp(3)} {
		go func() {
			e := &end{of: b}
			e.err = g.Run(onnx.Job{Context: t.Context(), Batch: b, Scores: &e.out})
			ends <- e
		}()
	}
	waits(t, g, 3)
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	g.next()
	for range 3 {
		e := <-ends
		if e.of == bad {
			if e.err == nil {
				t.Error("a batch without a column was scored")
			}
			continue
		}
		var unbatched onnx.Scores
		if err := m.Score(t.Context(), e.of, &unbatched); err != nil {
			t.Fatal(err)
		}
		if e.err != nil || fmt.Sprint(e.out) != fmt.Sprint(unbatched) {
			t.Errorf("%v: %v, want %v", e.err, e.out, unbatched)
		}
	}
	if g.running != 0 || len(g.waiting) != 0 {
		t.Errorf("%d run, %d wait", g.running, len(g.waiting))
	}
}

// TestDeadline gives up waiting when the client does.
func TestDeadline(t *testing.T) {
	g, _ := open(t, config.Batch{MaxRows: 8})
	g.running = g.runs // others run
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	var out onnx.Scores
	go func() { ended <- g.Run(onnx.Job{Context: ctx, Batch: madeUp(1), Scores: &out}) }()
	waits(t, g, 1)
	cancel(gone)
	if err := <-ended; !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	waits(t, g, 0)
	g.next() // one of the others has finished
	if err := g.Run(onnx.Job{Context: t.Context(), Batch: madeUp(1), Scores: &out}); err != nil {
		t.Error(err)
	}
}

func waits(t *testing.T, g *Batcher, n int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		g.mu.Lock()
		have := len(g.waiting)
		g.mu.Unlock()
		if have == n {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d wait, want %d", have, n)
		case <-time.After(time.Millisecond):
		}
	}
}
