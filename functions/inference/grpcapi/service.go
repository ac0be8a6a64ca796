// Package grpcapi serves the Open Inference Protocol over gRPC, on the HTTP
// server's port and on a port of its own, with gRPC's health protocol and
// reflection.
//
// ModelInfer is read from the wire straight into columns and written without the
// generated code; the other calls are a grpc.Server's.
package grpcapi

import (
	"context"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/access"
)

// The headers, and metadata, that a call may carry beside its message.
const (
	headerKey       = "X-Millrace-Key"
	headerVersion   = "X-Millrace-Version"
	headerRequestID = "X-Request-Id"
)

// Backend answers the calls. Its errors are codec.Errors, or internal.
type Backend interface {
	// Ready returns nil when every routed version is loaded.
	Ready(ctx context.Context) error
	// RouteChanged returns a channel that is closed when Ready or ModelReady may
	// have changed.
	RouteChanged() <-chan struct{}
	// ModelReady reports whether a model, or a version of it, answers without
	// waiting.
	ModelReady(model, version string) (bool, error)
	// Metadata describes the champion, or the version that is named.
	Metadata(ctx context.Context, model, version string) (codec.Metadata, error)
	// Repository lists the versions that can be asked; only loaded ones if ready.
	Repository(ctx context.Context, ready bool) []codec.ModelIndex
	// Load and Unload load a version into this process, and unload it.
	Load(ctx context.Context, model, version string) error
	Unload(model, version string) error

	// Take and Put borrow the memory of a request.
	Take() *codec.Request
	Put(q *codec.Request)
	// Receive reads the body of an HTTP request.
	Receive(w http.ResponseWriter, r *http.Request, q *codec.Request) error
	// Answer makes the answer to the message in q, in q.Out.
	Answer(ctx context.Context, q *codec.Request, c codec.Call) (Answer, error)
	// Refused counts a call that ends before Answer.
	Refused(err error)
}

// Answer is an answer that the Service sends.
type Answer interface {
	// Sent counts and logs the answer. It must be called once, when the answer
	// has been sent; sending is when that began.
	Sent(sending time.Time)
}

// Config are the limits of the calls.
type Config struct {
	Server       string // name of the server
	Version      string
	Extensions   []string
	MaxBodyBytes int64
	ReadTimeout  time.Duration
	// Concurrency and Queue bound the calls of the own port.
	Concurrency, Queue int
}

// Service answers the Open Inference Protocol over gRPC. It is a handler of the
// HTTP server that answers all else, so that one port has both; the server must
// speak HTTP/2, over TLS or with prior knowledge. It is safe for concurrent use.
type Service struct {
	oip.UnimplementedGRPCInferenceServiceServer
	backend Backend
	cfg     Config
	health  *health
	server  *grpc.Server
}

// New returns a Service.
func New(cfg Config, b Backend) *Service {
	s := &Service{backend: b, cfg: cfg, health: &health{backend: b, ended: make(chan struct{})}}
	// What a message has beside its rows is small.
	s.server = grpc.NewServer(grpc.MaxRecvMsgSize(int(cfg.MaxBodyBytes)))
	oip.RegisterGRPCInferenceServiceServer(s.server, s)
	s.registerRest(s.server)
	return s
}

// Stop ends all watching of health.
func (s *Service) Stop() { s.health.end() }

// registerRest registers what is beside the protocol.
func (s *Service) registerRest(server *grpc.Server) {
	grpc_health_v1.RegisterHealthServer(server, s.health)
	reflection.Register(server)
}

// Routes registers the calls, each with the roles that it needs.
func (s *Service) Routes(mux *access.Mux) {
	bounded := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.ReadTimeout)) // without one where there can be none
		s.ServeHTTP(w, r)
	}
	for _, m := range oip.GRPCInferenceService_ServiceDesc.Methods {
		method := "/" + oip.GRPCInferenceService_ServiceDesc.ServiceName + "/" + m.MethodName
		h := bounded
		if method == oip.GRPCInferenceService_ModelInfer_FullMethodName {
			h = s.infer
		}
		mux.HandleFunc(needOf(method), "POST "+method, h)
	}
	for _, service := range []string{
		"/" + oip.GRPCInferenceService_ServiceDesc.ServiceName + "/", "/" + grpc_health_v1.Health_ServiceDesc.ServiceName + "/",
		"/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/",
	} {
		mux.HandleFunc(needOf(service), "POST "+service, bounded)
	}
}

// ServeHTTP answers any call.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusHTTPVersionNotSupported)
		_, _ = io.WriteString(w, `{"error":"gRPC needs HTTP/2"}`+"\n")
		return
	}
	s.server.ServeHTTP(w, r)
}

// ServerLive reports that the process answers.
func (s *Service) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse, error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

// ServerReady reports whether every routed version is loaded.
func (s *Service) ServerReady(ctx context.Context, _ *oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: s.backend.Ready(ctx) == nil}, nil
}

// ModelReady reports whether a model, or a version of it, answers without waiting.
func (s *Service) ModelReady(ctx context.Context, in *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	if err := allowed(ctx, describe, in.GetName()); err != nil {
		return nil, err
	}
	ready, err := s.backend.ModelReady(in.GetName(), in.GetVersion())
	return &oip.ModelReadyResponse{Ready: ready}, statusOf(err)
}

// ServerMetadata names the server and its extensions.
func (s *Service) ServerMetadata(context.Context, *oip.ServerMetadataRequest) (*oip.ServerMetadataResponse, error) {
	return &oip.ServerMetadataResponse{Name: s.cfg.Server, Version: s.cfg.Version, Extensions: s.cfg.Extensions}, nil
}

// ModelMetadata describes the champion, or the version that is named.
func (s *Service) ModelMetadata(ctx context.Context, in *oip.ModelMetadataRequest) (*oip.ModelMetadataResponse, error) {
	if err := allowed(ctx, describe, in.GetName()); err != nil {
		return nil, err
	}
	d, err := s.backend.Metadata(ctx, in.GetName(), in.GetVersion())
	if err != nil {
		return nil, statusOf(err)
	}
	return &oip.ModelMetadataResponse{
		// The properties are left to REST: MLServer's clients have another type
		// at their place and cannot read the answer.
		Name: d.Name, Versions: d.Versions, Platform: d.Platform,
		Inputs: tensors(d.Inputs), Outputs: tensors(d.Outputs),
	}, nil
}

func tensors(all []codec.Tensor) []*oip.ModelMetadataResponse_TensorMetadata {
	var out []*oip.ModelMetadataResponse_TensorMetadata
	for _, t := range all {
		out = append(out, &oip.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
	}
	return out
}

// RepositoryIndex lists the versions that can be asked.
func (s *Service) RepositoryIndex(ctx context.Context, in *oip.RepositoryIndexRequest) (*oip.RepositoryIndexResponse, error) {
	out := &oip.RepositoryIndexResponse{}
	for _, v := range s.backend.Repository(ctx, in.GetReady()) {
		out.Models = append(out.Models, &oip.RepositoryIndexResponse_ModelIndex{Name: v.Name, Version: v.Version, State: v.State, Reason: v.Reason})
	}
	return out, nil
}

// RepositoryModelLoad loads a version into this process.
func (s *Service) RepositoryModelLoad(ctx context.Context, in *oip.RepositoryModelLoadRequest) (*oip.RepositoryModelLoadResponse, error) {
	name := repositoryModel(in.GetModelName(), in.GetRepositoryName())
	if err := allowed(ctx, access.Operate, name); err != nil {
		return nil, err
	}
	err := s.backend.Load(ctx, name, repositoryVersion(in.GetParameters()))
	return &oip.RepositoryModelLoadResponse{ModelName: name, IsLoaded: err == nil}, statusOf(err)
}

// RepositoryModelUnload unloads a version that is in no route.
func (s *Service) RepositoryModelUnload(ctx context.Context, in *oip.RepositoryModelUnloadRequest) (*oip.RepositoryModelUnloadResponse, error) {
	name := repositoryModel(in.GetModelName(), in.GetRepositoryName())
	if err := allowed(ctx, access.Operate, name); err != nil {
		return nil, err
	}
	err := s.backend.Unload(name, repositoryVersion(in.GetParameters()))
	return &oip.RepositoryModelUnloadResponse{ModelName: name, IsUnloaded: err == nil}, statusOf(err)
}

// repositoryModel is the model of a repository call. Triton's clients send it as the
// second field; KServe's, whose message has no repository, as the first.
func repositoryModel(model, repository string) string {
	if model == "" {
		return repository
	}
	return model
}

func repositoryVersion(parameters map[string]*oip.ModelRepositoryParameter) string {
	return parameters["version"].GetStringParam()
}
