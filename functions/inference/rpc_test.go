package inference

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"net"
	"slices"
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
	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/onnx"
)

func (w *world) dial() *grpc.ClientConn {
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
		d := datatypeOf(f.Type, "")
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

	t.Run("Typed", func(t *testing.T) {
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

	t.Run("Raw", func(t *testing.T) {
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

	t.Run("Metadata", func(t *testing.T) {
		ctx := metadata.AppendToOutgoingContext(ctx, "x-millrace-version", "9", "x-request-id", "there")
		if _, err := c.ModelInfer(ctx, g.typed(t, 1)); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "flights has no version 9; those that can: 1") {
			t.Errorf("%v", err)
		}
		ctx = metadata.AppendToOutgoingContext(t.Context(), "x-millrace-version", "1", "x-request-id", "there", "x-millrace-key", "k")
		out, err := c.ModelInfer(ctx, g.typed(t, 1))
		must(t, err)
		if out.GetId() != "there" || out.GetParameters()["route"].GetStringParam() != "pinned" {
			t.Errorf("%v", out)
		}
	})

	t.Run("Mistakes", func(t *testing.T) {
		for name, m := range map[string]struct {
			change func(*oip.ModelInferRequest)
			code   codes.Code
			want   string
		}{
			"Model":   {func(in *oip.ModelInferRequest) { in.ModelName = "flight" }, codes.NotFound, `there is no model "flight"; the models are flights`},
			"Column":  {func(in *oip.ModelInferRequest) { in.Inputs[2].Name = "our" }, codes.InvalidArgument, `there is no column "our"; version 1 of flights reads carrier`},
			"Missing": {func(in *oip.ModelInferRequest) { in.Inputs = in.Inputs[1:] }, codes.InvalidArgument, "column carrier (BYTES) is missing"},
			"Shape":   {func(in *oip.ModelInferRequest) { in.Inputs[2].Shape = []int64{2} }, codes.InvalidArgument, "input hour has 1 values in int64_contents, the field of datatype INT64, and its shape says 2"},
			"Huge":    {func(in *oip.ModelInferRequest) { in.Inputs[2].Shape = []int64{1 << 62} }, codes.ResourceExhausted, "the request has more than 10000 rows"},
			"Field":   {func(in *oip.ModelInferRequest) { in.Inputs[2].Datatype = "INT32" }, codes.InvalidArgument, "input hour has 0 values in int_contents"},
			"Range": {func(in *oip.ModelInferRequest) {
				in.Inputs[2].Datatype, in.Inputs[2].Contents = "INT8", &oip.InferTensorContents{IntContents: []int32{300}}
			}, codes.InvalidArgument, "column hour, row 0: 300 is no INT8"},
			"Half": {func(in *oip.ModelInferRequest) { in.Inputs[3].Datatype = "FP16" }, codes.InvalidArgument, "input distance: datatype FP16 has no form"},
			"Output": {func(in *oip.ModelInferRequest) {
				in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "x"}}
			}, codes.InvalidArgument, `there is no output "x"; the outputs are label, probabilities`},
			"Raw":   {func(in *oip.ModelInferRequest) { in.RawInputContents = [][]byte{{1}} }, codes.InvalidArgument, "there are 6 inputs and 1 raw_input_contents"},
			"Both":  {func(in *oip.ModelInferRequest) { in.RawInputContents = make([][]byte, 6) }, codes.InvalidArgument, "input carrier has contents, and the request has raw_input_contents"},
			"Empty": {func(in *oip.ModelInferRequest) { in.Inputs = nil }, codes.InvalidArgument, "inputs is missing"},
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

	t.Run("Describes", func(t *testing.T) {
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

	t.Run("Health", func(t *testing.T) {
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

	t.Run("Reflection", func(t *testing.T) {
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

	t.Run("TooManyBytes", func(t *testing.T) {
		in := g.typed(t, 1)
		in.Id = strings.Repeat("x", int(w.cfg.MaxBodyBytes))
		if _, err := c.ModelInfer(ctx, in); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "the body has more than 8388608 bytes; send the rows in several requests") || len(status.Convert(err).Details()) > 0 {
			t.Errorf("%v", err)
		}
	})

	t.Run("Compressed", func(t *testing.T) {
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

	t.Run("Deadline", func(t *testing.T) {
		for range w.f.cfg.Concurrency {
			must(t, w.f.gate.enter(ctx))
		}
		late, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := c.ModelInfer(late, g.typed(t, 1)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%v", err)
		}
		w.until("the server has given it up too", func() error {
			if n := w.f.gate.queued.Load(); n > 0 {
				return fmt.Errorf("%d wait", n)
			}
			return nil
		})
		for range w.f.cfg.Concurrency {
			w.f.gate.leave()
		}
	})

	w.stop()
	if _, rows := w.logged(); len(rows) != 3+3+3+1+3 {
		t.Errorf("%d rows are in the prediction log", len(rows))
	}
}

// TestRPCBusy tells one client too many to come again, and when.
func TestRPCBusy(t *testing.T) {
	w := newWorld(t)
	w.cfg.Concurrency, w.cfg.Queue = 1, 0
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	w.start()
	must(t, w.f.gate.enter(t.Context())) // somebody works
	defer w.f.gate.leave()
	var trailer metadata.MD
	_, err := oip.NewGRPCInferenceServiceClient(w.dial()).ModelInfer(t.Context(), goldenOf(t, "lightgbm").typed(t, 1), grpc.Trailer(&trailer))
	st := status.Convert(err)
	if st.Code() != codes.ResourceExhausted || st.Message() != "too many requests at once; try again in a second" || len(st.Details()) != 1 {
		t.Fatalf("%v %v", err, st.Details())
	}
	if retry, ok := st.Details()[0].(*errdetails.RetryInfo); !ok || retry.GetRetryDelay().AsDuration() != time.Second || first(trailer.Get("grpc-retry-pushback-ms")) != "1000" {
		t.Errorf("%v %v", st.Details(), trailer)
	}
}

func TestTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"5S": 5 * time.Second, "100m": 100 * time.Millisecond, "99999999H": 0, "": 0, "x": -1, "1x": -1, "123456789S": -1, "-1S": -1} {
		ctx, cancel, err := withTimeout(t.Context(), text)
		if err != nil {
			if want >= 0 {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		at, bounded := ctx.Deadline()
		cancel()
		if want < 0 || bounded != (want > 0) || bounded && time.Until(at) > want {
			t.Errorf("%q: %v %v", text, at, bounded)
		}
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

// TestRPCNeedsHTTP2 tells a client of HTTP/1.1 what to do.
func TestRPCNeedsHTTP2(t *testing.T) {
	w := newWorld(t)
	w.start()
	if a := w.ask("POST", "/inference.GRPCInferenceService/ServerLive", nil); a.Code != 505 || a.Error != "gRPC is spoken over HTTP/2 only" {
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

// FuzzReadRPC holds the messages that are read on the wire against the
// generated code: what that refuses may be refused or not, what it takes is
// read to the same columns, or refused for the same reason.
func FuzzReadRPC(f *testing.F) {
	s, v := sketch()
	seed := &oip.ModelInferRequest{ModelName: "m", ModelVersion: "1", Id: "id", Parameters: map[string]*oip.InferParameter{
		"tenant": {ParameterChoice: &oip.InferParameter_StringParam{StringParam: "a"}},
	}}
	for _, in := range []*oip.ModelInferRequest_InferInputTensor{
		{Name: "s", Datatype: "BYTES", Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("a"), []byte("ü")}}},
		{Name: "i", Datatype: "INT8", Contents: &oip.InferTensorContents{IntContents: []int32{1, -2}}},
		{Name: "f", Datatype: "FP32", Contents: &oip.InferTensorContents{Fp32Contents: []float32{1, 2}}},
		{Name: "b", Datatype: "BOOL", Contents: &oip.InferTensorContents{BoolContents: []bool{true, false}}},
		{Name: "t", Datatype: "INT64", Contents: &oip.InferTensorContents{Int64Contents: []int64{1, 2}}},
	} {
		in.Shape = []int64{2, 1}
		seed.Inputs = append(seed.Inputs, in)
	}
	f.Add(wireOf(f, seed))
	for _, change := range []func(*oip.ModelInferRequest_InferInputTensor){
		func(in *oip.ModelInferRequest_InferInputTensor) {
			in.Datatype, in.Contents = "FP64", &oip.InferTensorContents{Fp64Contents: []float64{1, math.NaN()}}
		},
		func(in *oip.ModelInferRequest_InferInputTensor) {
			in.Datatype, in.Contents = "UINT64", &oip.InferTensorContents{Uint64Contents: []uint64{1, 1 << 63}}
		},
		func(in *oip.ModelInferRequest_InferInputTensor) {
			in.Datatype, in.Contents = "UINT16", &oip.InferTensorContents{UintContents: []uint32{1, 1 << 31}}
		},
	} {
		changed := proto.CloneOf(seed)
		change(changed.GetInputs()[2])
		f.Add(wireOf(f, changed))
	}
	read := func(q *request, b []byte) error {
		q.rpc, q.id, q.outputs = true, nil, q.outputs[:0]
		q.body, q.header = append(append(q.body[:0], 0, 0, 0, 0, 0), b...), rpcPrefix
		if err := q.message.read(q.body[q.header:]); err != nil {
			return err
		}
		return q.parse(s, v, call{}, 100)
	}
	q := &request{}
	must(f, read(q, wireOf(f, seed)))
	checkDecoded(f, q)
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &oip.ModelInferRequest{}
		known := proto.Unmarshal(b, in) == nil
		err := read(q, b)
		if err == nil {
			checkDecoded(t, q)
		}
		if !known {
			return
		}
		other := &request{}
		if again := read(other, wireOf(t, in)); (again == nil) != (err == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("%v\nas the generated code writes it: %v", err, again)
		}
		if err != nil {
			return
		}
		if string(q.id) != in.GetId() && in.GetId() != "" || string(q.message.model) != in.GetModelName() || string(q.message.version) != in.GetModelVersion() {
			t.Fatalf("%s %s %s of %v", q.id, q.message.model, q.message.version, in)
		}
		for i := range q.columns {
			if got, want := fmt.Sprint(q.columns[i].Column), fmt.Sprint(other.columns[i].Column); got != want {
				t.Fatalf("%s\nas the generated code writes it: %s", got, want)
			}
		}
		if len(in.GetRawInputContents()) == 0 {
			holdsContents(t, q, in)
		}
	})
}

func wireOf(t testing.TB, in *oip.ModelInferRequest) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
	must(t, err)
	return b
}

// holdsContents compares the columns with what the generated code has read.
func holdsContents(t *testing.T, q *request, in *oip.ModelInferRequest) {
	t.Helper()
	for _, tensor := range in.GetInputs() {
		i := slices.IndexFunc(q.columns, func(c column) bool { return c.Name == tensor.GetName() })
		if i < 0 {
			continue
		}
		c, from := &q.columns[i], tensor.GetContents()
		for row := range c.rows {
			var want any
			switch tensor.GetDatatype() {
			case "BOOL":
				want = from.GetBoolContents()[row]
			case "INT8", "INT16", "INT32":
				want = from.GetIntContents()[row]
			case "INT64":
				want = from.GetInt64Contents()[row]
			case "UINT8", "UINT16", "UINT32":
				want = from.GetUintContents()[row]
			case "UINT64":
				want = from.GetUint64Contents()[row]
			case "FP32":
				want = float64(from.GetFp32Contents()[row])
			case "FP64":
				want = from.GetFp64Contents()[row]
			default:
				want = string(from.GetBytesContents()[row])
			}
			if got := valueOf(c, row); !sameValue(c, got, want) {
				t.Fatalf("column %s, row %d: %v, want %v", c.Name, row, got, want)
			}
		}
	}
}

func valueOf(c *column, row int) any {
	switch c.feature.Type {
	case onnx.String:
		return c.Strings[row]
	case onnx.Float:
		return c.Floats[row]
	case onnx.Bool:
		return c.Bools[row]
	}
	return c.Ints[row]
}

// sameValue compares a column's value with the tensor's, as which it may have
// been of another type.
func sameValue(c *column, got, want any) bool {
	if text, ok := want.(string); ok && c.feature.Type == onnx.Timestamp {
		at, err := time.Parse(time.RFC3339Nano, text)
		return err == nil && got == at.UnixMicro()
	}
	number := func(v any) string {
		switch v := v.(type) {
		case bool:
			return map[bool]string{true: "1", false: "0"}[v]
		case float64:
			return big.NewFloat(0).SetFloat64(v).Text('g', 40)
		case string:
			return v
		}
		f, _, err := big.ParseFloat(fmt.Sprint(v), 10, 64, big.ToNearestEven)
		if err != nil {
			return err.Error()
		}
		return f.Text('g', 40)
	}
	if x, ok := want.(float64); ok && math.IsNaN(x) { // a missing value
		return true
	}
	if x, ok := want.(float64); ok && math.IsInf(x, 0) {
		return got == want
	}
	return number(got) == number(want)
}
