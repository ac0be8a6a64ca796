package inference

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/access"
)

// secret is an installation's token.
const secret = "secret-secret-secret-secret-secret"

// servedPort is flights with a port for gRPC, and a connection to it.
func servedPort(t testing.TB, token string) (*env, golden, *grpc.ClientConn) {
	t.Helper()
	w := newWorld(t)
	w.cfg.GRPC = "127.0.0.1:0"
	w.ConfigureYAML(t, flights)
	w.promote("flights", w.register("flights", "lightgbm"))
	deps := w.Deps(t, Name)
	if token != "" {
		var err error
		deps.Guard, err = access.New(access.Settings{Token: token}, access.Options{})
		must(t, err)
	}
	w.startIn(deps)
	w.until("the function is ready", func() error { return w.f.Ready(t.Context()) })
	conn, err := grpc.NewClient(w.f.grpcPort.Address().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	return w, goldenOf(t, "lightgbm"), conn
}

// TestPort asks by the port and by the common one, and wants the same.
func TestPort(t *testing.T) {
	w, g, conn := servedPort(t, "")
	own, common, ctx := oip.NewGRPCInferenceServiceClient(conn), oip.NewGRPCInferenceServiceClient(w.dial()), t.Context()
	changes := map[string]func(*oip.ModelInferRequest){
		"Typed": func(*oip.ModelInferRequest) {},
		"Raw":   func(in *oip.ModelInferRequest) { proto.Reset(in); proto.Merge(in, g.rawTyped(t, 3)) },
		"Outputs": func(in *oip.ModelInferRequest) {
			in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "label"}}
		},
		"Model":   func(in *oip.ModelInferRequest) { in.ModelName = "flight" },
		"Version": func(in *oip.ModelInferRequest) { in.ModelVersion = "9" },
		"Column":  func(in *oip.ModelInferRequest) { in.Inputs[2].Name = "our" },
		"Huge":    func(in *oip.ModelInferRequest) { in.Inputs[2].Shape = []int64{1 << 62} },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			in := g.typed(t, 3)
			change(in)
			in.Id = name
			want, wantErr := common.ModelInfer(ctx, in)
			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
				got, err := own.ModelInfer(ctx, in, opts...)
				if !proto.Equal(got, want) || status.Convert(err).String() != status.Convert(wantErr).String() {
					t.Errorf("%v %v\nby the common port: %v %v", got, err, want, wantErr)
				}
			}
		})
	}
	t.Run("headers", func(t *testing.T) {
		ctx := metadata.AppendToOutgoingContext(ctx, "x-millrace-version", "1", "x-request-id", "there")
		out, err := own.ModelInfer(ctx, g.typed(t, 1))
		must(t, err)
		if out.GetId() != "there" || out.GetParameters()["route"].GetStringParam() != "pinned" {
			t.Errorf("%v", out)
		}
	})
	t.Run("beside", func(t *testing.T) {
		ready, err := own.ModelReady(ctx, &oip.ModelReadyRequest{Name: "flights"})
		if err != nil || !ready.GetReady() {
			t.Errorf("%v %v", ready, err)
		}
	})
	t.Run("busy", func(t *testing.T) {
		w.limiter("flights").wait = time.Millisecond
		for range w.f.cfg.Concurrency {
			must(t, w.limiter("flights").enter(ctx))
			defer w.limiter("flights").leave()
		}
		var trailer metadata.MD
		_, err := own.ModelInfer(ctx, g.typed(t, 1), grpc.Trailer(&trailer))
		st := status.Convert(err)
		if st.Code() != codes.ResourceExhausted || len(st.Details()) != 1 || first(trailer.Get("grpc-retry-pushback-ms")) != "1000" {
			t.Fatalf("%v %v", err, trailer)
		}
		if _, ok := st.Details()[0].(*errdetails.RetryInfo); !ok {
			t.Errorf("%v", st.Details())
		}
	})
}

func TestPortAsksForTheToken(t *testing.T) {
	_, g, conn := servedPort(t, secret)
	c, h := oip.NewGRPCInferenceServiceClient(conn), grpc_health_v1.NewHealthClient(conn)
	for word, want := range map[string]codes.Code{"": codes.Unauthenticated, "Bearer wrong": codes.Unauthenticated, "Bearer " + secret: codes.OK} {
		ctx := t.Context()
		if word != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", word)
		}
		_, infer := c.ModelInfer(ctx, g.typed(t, 1))
		_, described := c.ModelMetadata(ctx, &oip.ModelMetadataRequest{Name: "flights"})
		_, loaded := c.RepositoryModelLoad(ctx, &oip.RepositoryModelLoadRequest{ModelName: "flights"})
		for what, err := range map[string]error{"ModelInfer": infer, "ModelMetadata": described, "RepositoryModelLoad": loaded} {
			if status.Code(err) != want {
				t.Errorf("%s with %q: %v, want %s", what, word, err, want)
			}
		}
		_, live := c.ServerLive(ctx, &oip.ServerLiveRequest{})
		stream, err := h.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		must(t, err)
		_, watch := stream.Recv()
		for what, err := range map[string]error{"ServerLive": live, "Watch": watch} {
			if err != nil {
				t.Errorf("%s with %q: %v, and health is free", what, word, err)
			}
		}
	}
}

// TestPortEnds: the port shuts down while a client watches its health.
func TestPortEnds(t *testing.T) {
	w, _, conn := servedPort(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	w.stop()
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	if _, err := oip.NewGRPCInferenceServiceClient(conn).ServerLive(ctx, &oip.ServerLiveRequest{}); err == nil {
		t.Error("the port still answers: " + fmt.Sprint(err))
	}
}
