package inference

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"millrace.dev/functions/inference/oip"
)

// rpcHealth answers gRPC's health protocol. The services are the server ("")
// and the inference service, which are healthy when every routed version is
// loaded, and the models by name. Watch is not implemented, which clients take
// for healthy: a stream that never ends would hold up the end of the process.
type rpcHealth struct {
	grpc_health_v1.UnimplementedHealthServer
	f *F
}

// Check says how a service is.
func (h *rpcHealth) Check(ctx context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	is := h.status(ctx, in.GetService())
	if is == grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Errorf(codes.NotFound, "there is no service or model %q", in.GetService())
	}
	return &grpc_health_v1.HealthCheckResponse{Status: is}, nil
}

func (h *rpcHealth) status(ctx context.Context, service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
	ready := h.f.Ready(ctx) == nil
	if service != "" && service != oip.GRPCInferenceService_ServiceDesc.ServiceName {
		var err error
		if ready, _, err = h.f.readiness(service, ""); err != nil {
			return grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		}
	}
	if ready {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}
