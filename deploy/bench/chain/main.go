// Command chain measures the whole chain: from the answer to an upload of
// 10,000 rows until its model is promoted. The trainer copies a ready model,
// so that what is left is Millrace's own: reading, checking, cutting, the
// trainer's process, judging against the champion, going live. Nothing is
// subtracted.
//
//	go run ./deploy/bench/chain [-n 20] [-rows 10000]
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace.dev/deploy/millrace/up"
	"millrace.dev/events"
	"millrace.dev/shared/apart"
	"millrace.dev/shared/summary"
	"millrace.dev/shared/table"
)

const pipeline = `apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: tumours}
spec:
  data:
    uploads: ["tumours/*.parquet"]
    columns:
      mean_texture: {type: float}
      mean_smoothness: {type: float}
      mean_symmetry: {type: float}
      mean_concavity: {type: float}
      size: {type: string}
      benign: {type: bool, nulls: 0.1}
    checks: [{name: enough-rows, rows: {min: 100}}]
    window: {partitions: 2}
  model: {task: binary_classification, label: benign, features: [mean_texture, mean_smoothness, mean_symmetry, mean_concavity]}
  train: {command: [sh, -c, "cp ready.onnx $MILLRACE_OUTPUT/model.onnx"]}
  evaluate:
    metrics: [roc_auc, log_loss, accuracy]
    slices: [size]
    gates: [{metric: roc_auc, min: 0.9}, {metric: roc_auc, champion: {margin: 0.02}}]
  promote: {strategy: direct}
`

func main() {
	if code, was := apart.Main(up.Tasks...); was {
		os.Exit(code)
	}
	n := flag.Int("n", 20, "uploads")
	rows := flag.Int("rows", 10000, "rows an upload")
	data := flag.String("data", "functions/evaluate/testdata", "folder of tumours.parquet and tumours-good.onnx")
	flag.Parse()
	if err := run(*n, *rows, *data); err != nil {
		fmt.Fprintln(os.Stderr, "chain: error:", err)
		os.Exit(1)
	}
}

func run(n, rows int, data string) error {
	dir, err := os.MkdirTemp("", "millrace-chain-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writePipeline(filepath.Join(dir, "tumours"), data); err != nil {
		return err
	}
	began := time.Now()
	url, stop, err := start(dir)
	if err != nil {
		return err
	}
	fmt.Printf("up after %s\n", time.Since(began).Round(time.Millisecond))
	var took []time.Duration
	stages := map[string][]time.Duration{}
	for i := range n {
		upload := filepath.Join(dir, "upload.parquet")
		if err := sample(filepath.Join(data, "tumours.parquet"), upload, rows, uint64(i)); err != nil {
			return errors.Join(err, stop())
		}
		total, err := once(url, upload, i, stages)
		if err != nil {
			return errors.Join(err, stop())
		}
		took = append(took, total)
	}
	report(took, stages)
	return stop()
}

func report(took []time.Duration, stages map[string][]time.Duration) {
	first := took[0]
	slices.Sort(took)
	fmt.Printf("upload answered -> model.promoted, %d times: first %s, p50 %s, p90 %s, max %s\n", len(took), ms(first), ms(at(took, 0.5)), ms(at(took, 0.9)), ms(took[len(took)-1]))
	for _, s := range order {
		slices.Sort(stages[s])
		fmt.Printf("  p50 until %-20s %8s\n", s, ms(at(stages[s], 0.5)))
	}
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
func at(d []time.Duration, q float64) (out time.Duration) {
	if len(d) == 0 {
		return 0
	}
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func writePipeline(dir, data string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	model, err := os.ReadFile(filepath.Join(data, "tumours-good.onnx"))
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(pipeline), 0o600),
		os.WriteFile(filepath.Join(dir, "ready.onnx"), model, 0o600),
	)
}

func start(dir string) (url string, stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- up.Run(ctx, up.Options{
			Dir: filepath.Join(dir, "millrace"), Pipelines: []string{filepath.Join(dir, "tumours")}, Listen: "127.0.0.1:0", NoToken: true,
			Drain: 10 * time.Second, Logger: slog.New(slog.DiscardHandler), Started: func(a string) { started <- a },
		})
	}()
	select {
	case a := <-started:
		return a, func() error { cancel(); return <-ended }, nil
	case err := <-ended:
		cancel()
		return "", nil, err
	}
}

// sample draws rows with replacement from a table, with a little noise, so
// that each upload has other bytes.
func sample(from, to string, rows int, seed uint64) error {
	r, err := table.Open(from, nil)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
	all, err := r.Next(int(r.Rows()))
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	out := &table.Batch{Schema: all.Schema, Rows: rows, Columns: make([]table.Vector, len(all.Columns))}
	for range rows {
		i := rng.IntN(all.Rows)
		for c, v := range all.Columns {
			o := &out.Columns[c]
			switch {
			case v.Floats != nil:
				o.Floats = append(o.Floats, v.Floats[i]*(1+rng.NormFloat64()/1000))
			case v.Strings != nil:
				o.Strings = append(o.Strings, v.Strings[i])
			case v.Bools != nil:
				o.Bools = append(o.Bools, v.Bools[i])
			case v.Ints != nil:
				o.Ints = append(o.Ints, v.Ints[i])
			}
			if v.Nulls != nil {
				o.Nulls = append(o.Nulls, v.Nulls[i])
			}
		}
	}
	w, err := table.Create(to, all.Schema)
	if err != nil {
		return err
	}
	if err := w.Write(out); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// order is what is seen on the way.
var order = []string{"partition.ingested", "dataset.validated", "training.started", "training.completed", "model.approved", "model.promoted"}

// once uploads and follows the log until the model is promoted.
func once(url, path string, i int, stages map[string][]time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	follow, err := newFollower(ctx, url)
	if err != nil {
		return 0, err
	}
	defer follow.close()
	body, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/uploads/tumours/%04d.parquet", url, i), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		b, _ := io.ReadAll(resp.Body)
		return 0, fmt.Errorf("upload: %s: %s", resp.Status, b)
	}
	answered := time.Now()
	for {
		e, err := follow.next()
		if err != nil {
			return 0, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(e.Type, events.TypePrefix), ".v1")
		if slices.Contains(order, name) {
			stages[name] = append(stages[name], time.Since(answered))
		}
		switch name {
		case "model.promoted":
			return time.Since(answered), nil
		case "partition.rejected", "training.failed", "model.rejected", "deadletter.recorded":
			return 0, errors.New(summary.Of(e))
		}
	}
}
