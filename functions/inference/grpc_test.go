package inference

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/onnx"
)

func (w *env) dial() *grpc.ClientConn {
	w.t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(w.web.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, conn.Close()) })
	return conn
}

// typed is a request for rows of the golden model with typed contents.
func (g golden) typed(t testing.TB, rows int) *oip.ModelInferRequest {
	t.Helper()
	in := &oip.ModelInferRequest{ModelName: "flights"}
	for _, f := range g.Features {
		d := sent[f.Type]
		c := &oip.InferTensorContents{}
		for _, v := range g.Rows[f.Name][:rows] {
			var x float64
			_, _ = fmt.Sscan(fmt.Sprint(v), &x)
			switch f.Type {
			case onnx.String:
				c.BytesContents = append(c.BytesContents, []byte(v.(string)))
			case onnx.Bool:
				c.BoolContents = append(c.BoolContents, v.(bool))
			case onnx.Float:
				c.Fp64Contents = append(c.Fp64Contents, x)
			default:
				c.Int64Contents = append(c.Int64Contents, int64(x))
			}
		}
		in.Inputs = append(in.Inputs, &oip.ModelInferRequest_InferInputTensor{Name: f.Name, Datatype: d, Shape: []int64{int64(rows), 1}, Contents: c})
	}
	return in
}

// rawTyped is the same with raw contents.
func (g golden) rawTyped(t testing.TB, rows int) *oip.ModelInferRequest {
	t.Helper()
	in := g.typed(t, rows)
	for i, b := range g.binaryInputs(t, rows, nil) {
		if in.Inputs[i].Contents = nil; i == 0 {
			in.Inputs[i].Contents = &oip.InferTensorContents{} // as MLServer does
		}
		in.RawInputContents = append(in.RawInputContents, b.data)
	}
	return in
}

func TestRPC(t *testing.T) {
	w, g := servedFlights(t)
	c, ctx := oip.NewGRPCInferenceServiceClient(w.dial()), t.Context()
	want := w.infer(g, 3)
	var labels []string
	var probabilities []any
	for _, l := range want.Outputs[0].Data {
		labels = append(labels, l.(string))
	}
	probabilities = want.Outputs[1].Data

	t.Run("typed", func(t *testing.T) {
		in := g.typed(t, 3)
		in.Id = "mine"
		in.Parameters = map[string]*oip.InferParameter{"tenant": {ParameterChoice: &oip.InferParameter_Int64Param{Int64Param: 7}}}
		out, err := c.ModelInfer(ctx, in)
		must(t, err)
		if out.GetModelName() != "flights" || out.GetModelVersion() != "1" || out.GetId() != "mine" || len(out.GetRawOutputContents()) > 0 ||
			out.GetParameters()["route"].GetStringParam() != "champion" || out.GetParameters()["tenant"].GetInt64Param() != 7 {
			t.Errorf("%v", out)
		}
		label, scores := out.GetOutputs()[0], out.GetOutputs()[1]
		if fmt.Sprintf("%s", label.GetContents().GetBytesContents()) != fmt.Sprint(labels) || label.GetDatatype() != "BYTES" {
			t.Errorf("%v, want %v", label, labels)
		}
		if scores.GetDatatype() != "FP32" || fmt.Sprint(scores.GetShape()) != "[3 2]" || fmt.Sprint(scores.GetContents().GetFp32Contents()) != fmt.Sprint(probabilities) {
			t.Errorf("%v, want %v", scores, probabilities)
		}
	})

	t.Run("raw", func(t *testing.T) {
		in := g.rawTyped(t, 3)
		in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"}}
		out, err := c.ModelInfer(ctx, in)
		must(t, err)
		if len(out.GetOutputs()) != 1 || out.GetOutputs()[0].GetContents() != nil || string(out.GetRawOutputContents()[0]) != string(raw(t, "FP32", probabilities...)) {
			t.Errorf("%v", out)
		}
		if len(out.GetId()) != 32 {
			t.Errorf("id is %q", out.GetId())
		}
	})

	t.Run("metadata", func(t *testing.T) {
		ctx := metadata.AppendToOutgoingContext(ctx, "x-millrace-version", "9", "x-request-id", "there")
		if _, err := c.ModelInfer(ctx, g.typed(t, 1)); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "flights has no version 9; versions that can be asked: 1") {
			t.Errorf("%v", err)
		}
		ctx = metadata.AppendToOutgoingContext(t.Context(), "x-millrace-version", "1", "x-request-id", "there", "x-millrace-key", "k")
		out, err := c.ModelInfer(ctx, g.typed(t, 1))
		must(t, err)
		if out.GetId() != "there" || out.GetParameters()["route"].GetStringParam() != "pinned" {
			t.Errorf("%v", out)
		}
	})

	t.Run("mistakes", func(t *testing.T) {
		for name, m := range map[string]struct {
			change func(*oip.ModelInferRequest)
			code   codes.Code
			want   string
		}{
			"model":   {func(in *oip.ModelInferRequest) { in.ModelName = "flight" }, codes.NotFound, `there is no model "flight"; the models are flights`},
			"column":  {func(in *oip.ModelInferRequest) { in.Inputs[2].Name = "our" }, codes.InvalidArgument, `there is no column "our"; version 1 of flights reads carrier`},
			"missing": {func(in *oip.ModelInferRequest) { in.Inputs = in.Inputs[1:] }, codes.InvalidArgument, "column carrier (BYTES) is missing"},
			"shape":   {func(in *oip.ModelInferRequest) { in.Inputs[2].Shape = []int64{2} }, codes.InvalidArgument, "input hour has 1 values in int64_contents, the field of datatype INT64, and its shape says 2"},
			"huge":    {func(in *oip.ModelInferRequest) { in.Inputs[2].Shape = []int64{1 << 62} }, codes.ResourceExhausted, "the request has more than 10000 rows"},
			"field":   {func(in *oip.ModelInferRequest) { in.Inputs[2].Datatype = "INT32" }, codes.InvalidArgument, "input hour has 0 values in int_contents"},
			"range": {func(in *oip.ModelInferRequest) {
				in.Inputs[2].Datatype, in.Inputs[2].Contents = "INT8", &oip.InferTensorContents{IntContents: []int32{300}}
			}, codes.InvalidArgument, "column hour, row 0: 300 is not a value of INT8"},
			"half": {func(in *oip.ModelInferRequest) { in.Inputs[3].Datatype = "FP16" }, codes.InvalidArgument, "input distance: datatype FP16 has no form"},
			"output": {func(in *oip.ModelInferRequest) {
				in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "x"}}
			}, codes.InvalidArgument, `there is no output "x"; the outputs are label, probabilities`},
			"raw":   {func(in *oip.ModelInferRequest) { in.RawInputContents = [][]byte{{1}} }, codes.InvalidArgument, "there are 6 inputs and 1 raw_input_contents"},
			"both":  {func(in *oip.ModelInferRequest) { in.RawInputContents = make([][]byte, 6) }, codes.InvalidArgument, "input carrier has contents, and the request has raw_input_contents"},
			"empty": {func(in *oip.ModelInferRequest) { in.Inputs = nil }, codes.InvalidArgument, "inputs is missing"},
		} {
			t.Run(name, func(t *testing.T) {
				in := g.typed(t, 1)
				m.change(in)
				if _, err := c.ModelInfer(ctx, in); status.Code(err) != m.code || !strings.Contains(err.Error(), m.want) {
					t.Errorf("%v\nwant %s %s", err, m.code, m.want)
				}
			})
		}
	})

	t.Run("describes", func(t *testing.T) {
		live, err := c.ServerLive(ctx, &oip.ServerLiveRequest{})
		must(t, err)
		ready, err := c.ServerReady(ctx, &oip.ServerReadyRequest{})
		must(t, err)
		model, err := c.ModelReady(ctx, &oip.ModelReadyRequest{Name: "flights", Version: "1"})
		must(t, err)
		if !live.GetLive() || !ready.GetReady() || !model.GetReady() {
			t.Errorf("%v %v %v", live, ready, model)
		}
		server, err := c.ServerMetadata(ctx, &oip.ServerMetadataRequest{})
		must(t, err)
		if server.GetName() != "millrace" || len(server.GetExtensions()) != 2 {
			t.Errorf("%v", server)
		}
		d, err := c.ModelMetadata(ctx, &oip.ModelMetadataRequest{Name: "flights"})
		must(t, err)
		if d.GetPlatform() != "onnxruntime_onnx" || len(d.GetInputs()) != 6 || d.GetInputs()[0].GetDatatype() != "BYTES" || len(d.GetVersions()) != 1 {
			t.Errorf("%v", d)
		}
		if _, err := c.ModelMetadata(ctx, &oip.ModelMetadataRequest{Name: "x"}); status.Code(err) != codes.NotFound {
			t.Errorf("%v", err)
		}
	})

	t.Run("health", func(t *testing.T) {
		h := grpc_health_v1.NewHealthClient(w.dial())
		for _, service := range []string{"", "inference.GRPCInferenceService", "flights"} {
			r, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				t.Errorf("%q: %v %v", service, r, err)
			}
		}
		if _, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
			t.Errorf("%v", err)
		}
	})

	t.Run("reflection", func(t *testing.T) {
		stream, err := grpc_reflection_v1.NewServerReflectionClient(w.dial()).ServerReflectionInfo(ctx)
		must(t, err)
		must(t, stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}))
		r, err := stream.Recv()
		must(t, err)
		must(t, stream.CloseSend())
		if !strings.Contains(fmt.Sprint(r.GetListServicesResponse().GetService()), "inference.GRPCInferenceService") {
			t.Errorf("%v", r)
		}
	})

	t.Run("too many bytes", func(t *testing.T) {
		in := g.typed(t, 1)
		in.Id = strings.Repeat("x", int(w.cfg.MaxBodyBytes))
		if _, err := c.ModelInfer(ctx, in); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "the body has more than 8388608 bytes; send the rows in several requests") || len(status.Convert(err).Details()) > 0 {
			t.Errorf("%v", err)
		}
	})

	t.Run("compressed", func(t *testing.T) {
		out, err := c.ModelInfer(ctx, g.typed(t, 3), grpc.UseCompressor(gzip.Name))
		must(t, err)
		if fmt.Sprint(out.GetOutputs()[1].GetContents().GetFp32Contents()) != fmt.Sprint(probabilities) {
			t.Errorf("%v", out)
		}
		bomb := g.typed(t, 1)
		bomb.Inputs[0].Contents.BytesContents[0] = make([]byte, w.cfg.MaxBodyBytes+1)
		if _, err := c.ModelInfer(ctx, bomb, grpc.UseCompressor(gzip.Name)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%v", err)
		}
	})

	t.Run("deadline", func(t *testing.T) {
		for range w.f.cfg.Concurrency {
			must(t, w.limiter("flights").enter(ctx))
		}
		late, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := c.ModelInfer(late, g.typed(t, 1)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%v", err)
		}
		w.until("the server has given it up too", func() error {
			if n := w.limiter("flights").queued.Load(); n > 0 {
				return fmt.Errorf("%d wait", n)
			}
			return nil
		})
		for range w.f.cfg.Concurrency {
			w.limiter("flights").leave()
		}
	})

	w.stop()
	if _, rows := w.logged(); len(rows) != 3+3+3+1+3 {
		t.Errorf("%d rows are in the prediction log", len(rows))
	}
}

// TestRPCBusy: one client too many is refused, with the time after which to try again.
func TestRPCBusy(t *testing.T) {
	w := newWorld(t)
	w.cfg.Concurrency, w.cfg.Queue = 1, 0
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	must(t, w.limiter("flights").enter(t.Context())) // another request is in progress
	defer w.limiter("flights").leave()
	var trailer metadata.MD
	_, err := oip.NewGRPCInferenceServiceClient(w.dial()).ModelInfer(t.Context(), goldenOf(t, "lightgbm").typed(t, 1), grpc.Trailer(&trailer))
	st := status.Convert(err)
	if st.Code() != codes.ResourceExhausted || st.Message() != "too many requests for flights at once; try again in a second" || len(st.Details()) != 1 {
		t.Fatalf("%v %v", err, st.Details())
	}
	if retry, ok := st.Details()[0].(*errdetails.RetryInfo); !ok || retry.GetRetryDelay().AsDuration() != time.Second || first(trailer.Get("grpc-retry-pushback-ms")) != "1000" {
		t.Errorf("%v %v", st.Details(), trailer)
	}
}

// TestRPCWatch sees a model come, and a process become ready.
func TestRPCWatch(t *testing.T) {
	w := newWorld(t)
	w.start()
	h := grpc_health_v1.NewHealthClient(w.dial())
	watch := func(service string, want grpc_health_v1.HealthCheckResponse_ServingStatus) func(grpc_health_v1.HealthCheckResponse_ServingStatus) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		t.Cleanup(cancel)
		stream, err := h.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		must(t, err)
		next := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
			t.Helper()
			if is, err := stream.Recv(); err != nil || is.GetStatus() != want {
				t.Fatalf("%q: %v %v, want %v", service, is, err, want)
			}
		}
		next(want)
		return next
	}
	model := watch("flights", grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN)
	watch("", grpc_health_v1.HealthCheckResponse_SERVING)
	w.ConfigureYAML(t, flights)
	version := w.register("flights", "lightgbm")
	model(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	w.promote("flights", version)
	model(grpc_health_v1.HealthCheckResponse_SERVING)
}

// TestRPCNeedsHTTP2: a client of HTTP/1.1 gets an error that says what to do.
func TestRPCNeedsHTTP2(t *testing.T) {
	w := newWorld(t)
	w.start()
	if a := w.ask("POST", "/inference.GRPCInferenceService/ServerLive", nil); a.Code != 505 || a.Error != "gRPC needs HTTP/2" {
		t.Errorf("%d %s", a.Code, a.Raw)
	}
}

// TestDrainWithRPC ends a server while clients of gRPC hold their connections.
func TestDrainWithRPC(t *testing.T) {
	w, g := servedFlights(t)
	c := oip.NewGRPCInferenceServiceClient(w.dial())
	_, err := c.ModelInfer(t.Context(), g.typed(t, 1))
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	watch, err := grpc_health_v1.NewHealthClient(w.dial()).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	began := time.Now()
	if err := w.web.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server did not end: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the server took %v to end", took)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ended with %v", err)
	}
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(w.web.URL, "http://"), time.Second); err == nil {
		conn.Close()
		t.Error("the server still listens")
	}
}
