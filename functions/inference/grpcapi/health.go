package grpcapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"millrace.dev/functions/inference/oip"
)

// health answers gRPC's health protocol. The services are the server ("")
// and the inference service, which are healthy when every routed version is
// loaded, and the models by name.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	backend Backend

	mu sync.Mutex
	// ending is closed when a server is being shut down, which waits for its
	// streams and would wait for those of Watch for ever.
	ending map[*http.Server]chan struct{}
	// ended is closed when the function ends.
	ended chan struct{}
	once  sync.Once
}

// end ends all watching.
func (h *health) end() { h.once.Do(func() { close(h.ended) }) }

// pollInterval is how often a watched service is checked though no route has
// changed: a process that has waited long enough for a version is ready too.
const pollInterval = time.Second

// Watch sends the status of a service, now and at each change, until the client
// or the server ends. One that is not known may become so.
func (h *health) Watch(in *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	ctx := stream.Context()
	ending := h.endingOf(ctx)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	said := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		changed := h.backend.RouteChanged()
		if is := h.status(ctx, in.GetService()); is != said {
			if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: is}); err != nil {
				return err
			}
			said = is
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-ending:
			return status.Error(codes.Unavailable, "the server is being stopped")
		case <-h.ended:
			return status.Error(codes.Unavailable, "the server is being stopped")
		}
	}
}

// endingOf returns the channel that is closed when the server of a call is shut down.
func (h *health) endingOf(ctx context.Context) <-chan struct{} {
	server, ok := ctx.Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.ending[server]
	if c == nil {
		c = make(chan struct{})
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(c) }))
		if h.ending == nil {
			h.ending = map[*http.Server]chan struct{}{}
		}
		h.ending[server] = c
	}
	return c
}

// Check returns the status of a service.
func (h *health) Check(ctx context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	is := h.status(ctx, in.GetService())
	if is == grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Errorf(codes.NotFound, "there is no service or model %q", in.GetService())
	}
	return &grpc_health_v1.HealthCheckResponse{Status: is}, nil
}

func (h *health) status(ctx context.Context, service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
	ready := h.backend.Ready(ctx) == nil
	if service != "" && service != oip.GRPCInferenceService_ServiceDesc.ServiceName {
		var err error
		if ready, err = h.backend.ModelReady(service, ""); err != nil {
			return grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		}
	}
	if ready {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}
