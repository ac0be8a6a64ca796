package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parquet-go/parquet-go"

	"millrace.dev/deploy/e2e/crashtest/checker"
	"millrace.dev/deploy/e2e/env"
	"millrace.dev/events"
)

// TestStopLosesNoLoggedRow stops a system while eight clients ask for
// predictions as fast as they get them. Each request that was answered must be
// in the prediction log, by its id: the server stops first, then inference
// writes what it has gathered, then the log is closed.
func TestStopLosesNoLoggedRow(t *testing.T) {
	t.Parallel()
	const pipeline = "ledger"
	// A long interval, so that nearly all rows are still in memory at the stop.
	s := env.Start(t, env.Options{Pipelines: []string{pipelineFolder(t, pipeline)}})
	s.Local(t)
	w := s.WatchFrom(t, pipeline, 1)
	model := filepath.Join("..", "..", "shared", "onnx", "testdata", "lightgbm.onnx")
	_, err := s.Register(env.Context(t), pipeline, "lightgbm", model, "a test")
	must(t, err)
	env.Await[events.ModelPromoted](t, w)

	var (
		mu       sync.Mutex
		answered = map[string]bool{}
		count    atomic.Int64
		asking   sync.WaitGroup
		enough   = make(chan struct{})
		once     sync.Once
	)
	for c := range 8 {
		asking.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", c, i)
				status, ok := infer(s.Server(), pipeline, id)
				if !ok {
					return // the server has stopped
				}
				if status != http.StatusOK {
					if count.Load() > 0 && status != http.StatusServiceUnavailable {
						t.Errorf("request %s is answered %d", id, status)
					}
					continue
				}
				mu.Lock()
				answered[id] = true
				mu.Unlock()
				if count.Add(1) >= 500 {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	select {
	case <-enough:
	case <-env.Context(t).Done():
		t.Error("the model is not served")
	}
	s.Stop(t)
	asking.Wait()

	logged, requests := predictions(t, s)
	lost := 0
	for id := range answered {
		if !logged[id] {
			lost++
		}
	}
	if lost > 0 || requests < int64(len(answered)) {
		t.Errorf("of %d answered requests %d are not in the prediction log, which counts %d", len(answered), lost, requests)
	}
	t.Logf("%d requests were answered and logged", len(answered))
}

// infer asks for one row. ok is false when the connection failed.
func infer(server, model, id string) (status int, ok bool) {
	tensor := func(name, datatype string, value any) map[string]any {
		return map[string]any{"name": name, "datatype": datatype, "shape": []int{1}, "data": []any{value}}
	}
	body, err := json.Marshal(map[string]any{"id": id, "inputs": []any{
		tensor("carrier", "BYTES", "AA"), tensor("origin", "BYTES", "JFK"), tensor("hour", "INT64", 12),
		tensor("distance", "FP64", 500.0), tensor("temp", "FP64", 20.0), tensor("weekend", "BOOL", false),
	}})
	if err != nil {
		return 0, false
	}
	answer, err := http.Post(server+"/v2/models/"+model+"/infer", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, false
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, false
	}
	return answer.StatusCode, true
}

// predictions reads the ids of the requests in the prediction log that a
// stopped system has left, and how many requests it counts.
func predictions(t *testing.T, s *env.System) (ids map[string]bool, requests int64) {
	t.Helper()
	log, err := checker.Open(env.Context(t), s.LogDir)
	must(t, err)
	defer log.Close()
	ids = map[string]bool{}
	for _, e := range log.Events {
		if e.Kind() != "predictions.logged" {
			continue
		}
		var d events.PredictionsLogged
		must(t, json.Unmarshal(e.Data, &d))
		for _, v := range d.Versions {
			requests += v.Requests
		}
		if !strings.HasSuffix(d.Batch.URL, ".parquet") {
			continue
		}
		f, err := os.Open(filepath.Join(s.Dir, "artifacts", d.Batch.URL))
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		rows, err := parquet.Read[struct {
			RequestID string `parquet:"request_id,optional"`
		}](f, info.Size())
		must(t, err)
		f.Close()
		for _, r := range rows {
			ids[r.RequestID] = true
		}
	}
	return ids, requests
}

// pipelineFolder is a pipeline for the model lightgbm of shared/onnx.
func pipelineFolder(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	must(t, os.Mkdir(dir, 0o750))
	must(t, os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(`apiVersion: millrace.dev/v1alpha1
kind: Pipeline
metadata: {name: `+name+`}
spec:
  data:
    uploads: ["`+name+`/*.csv"]
    columns:
      carrier:  {type: string}
      origin:   {type: string}
      hour:     {type: int}
      distance: {type: float}
      temp:     {type: float, nulls: 0.1}
      weekend:  {type: bool}
      late:     {type: bool}
  model:
    task: binary_classification
    label: late
    classes: [false, true]
    features: [carrier, origin, hour, distance, temp, weekend]
  promote: {strategy: direct}
`), 0o600))
	return dir
}
