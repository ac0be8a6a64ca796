package grpcapi

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/access"
	"millrace.dev/shared/httperror"
)

// describe: a caller with either role may read what describes models.
const describe = access.Predict | access.Read

// needOf returns the roles for a method: its caller needs one of them. Whether it
// has the role for the model is checked once the message has been read. A
// method that is not named here needs the role admin.
func needOf(method string) access.Roles {
	switch method {
	case oip.GRPCInferenceService_ServerLive_FullMethodName, oip.GRPCInferenceService_ServerReady_FullMethodName:
		return access.Public
	case oip.GRPCInferenceService_ModelInfer_FullMethodName:
		return access.Predict | access.InHandler
	case oip.GRPCInferenceService_ModelReady_FullMethodName, oip.GRPCInferenceService_ModelMetadata_FullMethodName,
		oip.GRPCInferenceService_ServerMetadata_FullMethodName, oip.GRPCInferenceService_RepositoryIndex_FullMethodName:
		return describe | access.InHandler
	case oip.GRPCInferenceService_RepositoryModelLoad_FullMethodName, oip.GRPCInferenceService_RepositoryModelUnload_FullMethodName:
		return access.Operate | access.InHandler
	}
	switch {
	case strings.HasPrefix(method, "/"+grpc_health_v1.Health_ServiceDesc.ServiceName+"/"):
		return access.Public
	case strings.HasPrefix(method, "/grpc.reflection."):
		return describe | access.InHandler
	}
	return access.Admin
}

// allowed returns the answer to a caller that has none of the roles for the
// model.
func allowed(ctx context.Context, need access.Roles, model string) error {
	if err := access.Check(ctx, need, model); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return nil
}

// refused is a refusal of the guard as a status.
func refused(e *httperror.Error) error {
	code := map[int]codes.Code{
		http.StatusUnauthorized: codes.Unauthenticated, http.StatusForbidden: codes.PermissionDenied, http.StatusTooManyRequests: codes.ResourceExhausted,
	}[e.Status]
	switch code {
	case codes.OK:
		code = codes.Unavailable
	case codes.Unauthenticated:
		return status.Error(code, e.Text+": send the metadata authorization: Bearer <token>")
	}
	return status.Error(code, e.Error())
}
