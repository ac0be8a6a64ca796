package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/access"
	"millrace.dev/shared/onnx"
)

// bare is the limit that the function is held against: a handler that decodes
// into a struct, calls the model and writes, without routes, ids, checks,
// metrics or a log.
type bare struct {
	model *onnx.Model
	pool  sync.Pool
}

type bareScratch struct {
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

func newBare(b *testing.B, g golden) *bare {
	b.Helper()
	loadLibrary(b)
	m, err := onnx.Open(filepath.Join("..", "..", "shared", "onnx", "testdata", "lightgbm.onnx"), onnx.Options{})
	must(b, err)
	b.Cleanup(func() { must(b, m.Close()) })
	must(b, m.Check(onnx.Contract{Task: g.Task, Features: g.Features, Classes: g.Classes}))
	h := &bare{model: m, pool: sync.Pool{New: func() any {
		s := &bareScratch{}
		for _, f := range g.Features {
			s.batch.Columns = append(s.batch.Columns, onnx.Column{Name: f.Name})
		}
		return s
	}}}
	return h
}

func (h *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.pool.Get().(*bareScratch)
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
	for _, in := range s.got.Inputs {
		for i := range s.batch.Columns {
			c := &s.batch.Columns[i]
			if c.Name != in.Name {
				continue
			}
			c.Strings, c.Ints, c.Floats, c.Bools = c.Strings[:0], c.Ints[:0], c.Floats[:0], c.Bools[:0]
			var into any = &c.Floats
			switch c.Name {
			case "carrier", "origin":
				into = &c.Strings
			case "hour":
				into = &c.Ints
			case "weekend":
				into = &c.Bools
			}
			if err := json.Unmarshal(in.Data, into); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			s.batch.Rows = max(len(c.Strings), len(c.Ints), len(c.Floats), len(c.Bools))
		}
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
	_, _ = w.Write(s.out)
}

// benchBody has the rows again and again, without what is missing: bare does
// not take it.
func benchBody(b *testing.B, g golden, rows int) []byte {
	b.Helper()
	more := golden{Features: g.Features, Rows: map[string][]any{}}
	for len(more.Rows["hour"]) < rows {
		for i, temp := range g.Rows["temp"] {
			if temp == nil {
				continue
			}
			for name, values := range g.Rows {
				more.Rows[name] = append(more.Rows[name], values[i])
			}
		}
	}
	return more.inferBody(b, 0, rows, nil)
}

// quietWriter is a ResponseWriter that costs nothing.
type quietWriter struct {
	header http.Header
	code   int
	size   int
}

func (w *quietWriter) Header() http.Header         { return w.header }
func (w *quietWriter) WriteHeader(code int)        { w.code = code }
func (w *quietWriter) Write(b []byte) (int, error) { w.size += len(b); return len(b), nil }

// cpuTime is the processor time of the process so far: on a busy machine it
// says more than the clock.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

type rewindable struct{ bytes.Reader }

func (*rewindable) Close() error { return nil }

// BenchmarkHandler is a request inside of the handler, without HTTP: parse,
// run, write and log (millrace), and what ONNX Runtime takes of it (score).
func BenchmarkHandler(b *testing.B) {
	w, g := servedFlights(b)
	mux := access.NewMux(access.Open())
	w.f.Routes(mux)
	plain := newBare(b, g)
	s, err := w.f.routing.Load().model("flights")
	must(b, err)
	for _, rows := range []int{1, 100} {
		body := benchBody(b, g, rows)
		for name, h := range map[string]http.Handler{"millrace": mux, "bare": plain} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, rows), func(b *testing.B) {
				req := httptest.NewRequest(http.MethodPost, "/v2/models/flights/infer", nil)
				in, out := &rewindable{}, &quietWriter{header: http.Header{}, code: 200}
				req.Body, req.ContentLength = in, int64(len(body))
				b.ReportAllocs()
				cpu := cpuTime()
				for b.Loop() {
					in.Reset(body)
					h.ServeHTTP(out, req)
				}
				b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
				if out.code != 200 || out.size == 0 {
					b.Fatalf("answered %d", out.code)
				}
			})
		}
		b.Run(fmt.Sprintf("parse/rows=%d", rows), func(b *testing.B) {
			q := w.f.take()
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				q.Body = append(q.Body[:0], body...)
				q.Loaded()
				q.ID = nil
				must(b, q.Read(s.shares[0].version.schema, codec.Call{}, s.limits))
			}
		})
		b.Run(fmt.Sprintf("score/rows=%d", rows), func(b *testing.B) {
			q := w.f.take()
			q.Body = append(q.Body[:0], body...)
			q.Loaded()
			must(b, q.Read(s.shares[0].version.schema, codec.Call{}, s.limits))
			b.ReportAllocs()
			for b.Loop() {
				must(b, s.shares[0].version.score(b.Context(), time.Time{}, q))
			}
		})
	}
}

// BenchmarkHTTP is the same over loopback with eight connections, client included.
func BenchmarkHTTP(b *testing.B) {
	w, g := servedFlights(b)
	plain := httptest.NewServer(newBare(b, g))
	defer plain.Close()
	for _, rows := range []int{1, 100} {
		body := benchBody(b, g, rows)
		for name, url := range map[string]string{"millrace": w.web.URL + "/v2/models/flights/infer", "bare": plain.URL} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, rows), func(b *testing.B) {
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
				defer client.CloseIdleConnections()
				b.ReportAllocs()
				b.SetParallelism(4)
				cpu := cpuTime()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := post(b.Context(), client, url, body); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			})
		}
	}
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// BenchmarkGRPC asks for one row over gRPC, by the common port and by its own,
// with typed and with raw contents.
func BenchmarkGRPC(b *testing.B) {
	w, g, own := servedPort(b, "")
	for name, conn := range map[string]*grpc.ClientConn{"common": w.dial(), "own": own} {
		for contents, in := range map[string]*oip.ModelInferRequest{"typed": g.typed(b, 1), "raw": g.rawTyped(b, 1)} {
			b.Run(name+"/"+contents, func(b *testing.B) {
				c := oip.NewGRPCInferenceServiceClient(conn)
				b.ReportAllocs()
				b.SetParallelism(4)
				cpu := cpuTime()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if _, err := c.ModelInfer(b.Context(), in); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
			})
		}
	}
}

// BenchmarkStart is from nothing to the first answer, in a process that has
// loaded ONNX Runtime.
func BenchmarkStart(b *testing.B) {
	w, g := servedFlights(b)
	for b.Loop() {
		w.stop()
		w.start()
		if a := w.infer(g, 1); a.Code != 200 {
			b.Fatalf("%d %s", a.Code, a.Raw)
		}
	}
}
