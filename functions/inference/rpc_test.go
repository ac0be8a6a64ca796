package inference

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
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
			"Huge":    {func(in *oip.ModelInferRequest) { in.Inputs[2].Shape = []int64{1 << 62} }, codes.InvalidArgument, "the request has more than 10000 rows"},
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
		if _, err := c.ModelInfer(ctx, in); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%v", err)
		}
	})

	w.stop()
	if _, rows := w.logged(); len(rows) != 3+3+3+1 {
		t.Errorf("%d rows are in the prediction log", len(rows))
	}
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
	began := time.Now()
	if err := w.web.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server did not end: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the server took %v to end", took)
	}
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(w.web.URL, "http://"), time.Second); err == nil {
		conn.Close()
		t.Error("the server still listens")
	}
}

func FuzzReadRPC(f *testing.F) {
	s, v := sketch()
	seed := &oip.ModelInferRequest{}
	for _, in := range []*oip.ModelInferRequest_InferInputTensor{
		{Name: "s", Datatype: "BYTES", Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("a"), []byte("ü")}}},
		{Name: "i", Datatype: "INT8", Contents: &oip.InferTensorContents{IntContents: []int32{1, 2}}},
		{Name: "f", Datatype: "FP32", Contents: &oip.InferTensorContents{Fp32Contents: []float32{1, 2}}},
		{Name: "b", Datatype: "BOOL", Contents: &oip.InferTensorContents{BoolContents: []bool{true, false}}},
		{Name: "t", Datatype: "INT64", Contents: &oip.InferTensorContents{Int64Contents: []int64{1, 2}}},
	} {
		in.Shape = []int64{2, 1}
		seed.Inputs = append(seed.Inputs, in)
	}
	b, err := proto.Marshal(seed)
	must(f, err)
	f.Add(b)
	q := &request{rpc: seed}
	must(f, q.parse(s, v, call{}, 100))
	checkDecoded(f, q)
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &oip.ModelInferRequest{}
		if proto.Unmarshal(b, in) != nil {
			return
		}
		q.rpc, q.outputs = in, q.outputs[:0]
		if q.parse(s, v, call{id: in.GetId()}, 100) == nil {
			checkDecoded(t, q)
		}
	})
}
