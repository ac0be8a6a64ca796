// Command bare is the limit that inference is held against: net/http, plain
// decoding, the model, an answer. No routes, versions, checks, metrics or log.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"millrace.dev/shared/onnx"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bare: error:", err)
		os.Exit(1)
	}
}

var contract = onnx.Contract{
	Task: onnx.BinaryClassification, Classes: []string{"false", "true"},
	Features: []onnx.Feature{
		{Name: "carrier", Type: onnx.String}, {Name: "origin", Type: onnx.String}, {Name: "dest", Type: onnx.String},
		{Name: "hour", Type: onnx.Int}, {Name: "distance", Type: onnx.Float}, {Name: "temp", Type: onnx.Float},
		{Name: "humid", Type: onnx.Float}, {Name: "wind_speed", Type: onnx.Float}, {Name: "visib", Type: onnx.Float},
	},
}

func run() error {
	m, err := onnx.Open(os.Getenv("MODEL"), onnx.Options{})
	if err != nil {
		return err
	}
	if err := m.Check(contract); err != nil {
		return errors.Join(err, m.Close())
	}
	s := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: newHandler(m), ReadHeaderTimeout: time.Minute}
	return errors.Join(s.ListenAndServe(), m.Close())
}

type handler struct {
	model *onnx.Model
	pool  sync.Pool
}

// scratch is the memory of one request.
type scratch struct {
	body bytes.Buffer
	out  []byte
	got  struct {
		Inputs []struct {
			Name string
			Data json.RawMessage
		}
	}
	batch  onnx.Batch
	scores onnx.Scores
}

func newHandler(m *onnx.Model) *handler {
	return &handler{model: m, pool: sync.Pool{New: func() any {
		s := &scratch{}
		for _, f := range contract.Features {
			s.batch.Columns = append(s.batch.Columns, onnx.Column{Name: f.Name})
		}
		return s
	}}}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.pool.Get().(*scratch)
	defer h.pool.Put(s)
	s.body.Reset()
	if _, err := s.body.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.got.Inputs = s.got.Inputs[:0]
	if err := json.Unmarshal(s.body.Bytes(), &s.got); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.read(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.model.Score(r.Context(), &s.batch, &s.scores); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.out = append(s.out[:0], `{"outputs":[{"name":"probabilities","datatype":"FP32","data":[`...)
	for i, x := range s.scores.Values {
		if i > 0 {
			s.out = append(s.out, ',')
		}
		s.out = strconv.AppendFloat(s.out, x, 'g', -1, 32)
	}
	s.out = append(s.out, "]}]}"...)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(s.out)))
	_, _ = w.Write(s.out)
}

// read decodes the tensors into the batch's columns.
func (s *scratch) read() error {
	for _, in := range s.got.Inputs {
		for i := range s.batch.Columns {
			c := &s.batch.Columns[i]
			if c.Name != in.Name {
				continue
			}
			c.Strings, c.Ints, c.Floats = c.Strings[:0], c.Ints[:0], c.Floats[:0]
			var into any
			switch contract.Features[i].Type {
			case onnx.String:
				into = &c.Strings
			case onnx.Int:
				into = &c.Ints
			default:
				into = &c.Floats
			}
			if err := json.Unmarshal(in.Data, into); err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
			s.batch.Rows = max(len(c.Strings), len(c.Ints), len(c.Floats))
		}
	}
	return nil
}
