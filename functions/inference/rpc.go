package inference

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"millrace.dev/functions/inference/oip"
)

// rpc answers the Open Inference Protocol over gRPC. It is a handler of the
// HTTP server that answers all else, so that one port has both; the server
// must speak HTTP/2, over TLS or with prior knowledge.
type rpc struct {
	oip.UnimplementedGRPCInferenceServiceServer
	f      *F
	health *rpcHealth
	server *grpc.Server
}

func newRPC(f *F) *rpc {
	s := &rpc{f: f, health: &rpcHealth{f: f, ended: make(chan struct{})}}
	// What a message has beside its rows is small.
	s.server = grpc.NewServer(grpc.MaxRecvMsgSize(int(f.cfg.MaxBodyBytes)))
	oip.RegisterGRPCInferenceServiceServer(s.server, s)
	s.registerRest(s.server)
	return s
}

// registerRest registers what is beside the protocol.
func (s *rpc) registerRest(server *grpc.Server) {
	grpc_health_v1.RegisterHealthServer(server, s.health)
	reflection.Register(server)
}

func (s *rpc) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+oip.GRPCInferenceService_ModelInfer_FullMethodName, s.infer)
	mux.HandleFunc("POST /"+oip.GRPCInferenceService_ServiceDesc.ServiceName+"/", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.f.cfg.ReadTimeout)) // without one where there can be none
		s.ServeHTTP(w, r)
	})
	mux.Handle("POST /"+grpc_health_v1.Health_ServiceDesc.ServiceName+"/", s)
	mux.Handle("POST /grpc.reflection.v1.ServerReflection/", s)
	mux.Handle("POST /grpc.reflection.v1alpha.ServerReflection/", s)
}

func (s *rpc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 {
		writeMistake(w, mistakef(http.StatusHTTPVersionNotSupported, "gRPC is spoken over HTTP/2 only"))
		return
	}
	s.server.ServeHTTP(w, r)
}

// ServerLive says that the process answers.
func (s *rpc) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse, error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

// ServerReady says whether every routed version is loaded.
func (s *rpc) ServerReady(ctx context.Context, _ *oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: s.f.Ready(ctx) == nil}, nil
}

// ModelReady says whether a model, or a version of it, answers without waiting.
func (s *rpc) ModelReady(_ context.Context, in *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	ready, _, err := s.f.readiness(in.GetName(), in.GetVersion())
	return &oip.ModelReadyResponse{Ready: ready}, rpcError(err)
}

// ServerMetadata names the server and its extensions.
func (s *rpc) ServerMetadata(context.Context, *oip.ServerMetadataRequest) (*oip.ServerMetadataResponse, error) {
	return &oip.ServerMetadataResponse{Name: serverName, Version: protocolVersion, Extensions: extensions}, nil
}

// ModelMetadata describes the champion, or the version that is named.
func (s *rpc) ModelMetadata(ctx context.Context, in *oip.ModelMetadataRequest) (*oip.ModelMetadataResponse, error) {
	d, err := s.f.metadata(ctx, in.GetName(), in.GetVersion())
	if err != nil {
		return nil, rpcError(err)
	}
	return &oip.ModelMetadataResponse{
		// The properties are left to REST: MLServer's clients have another type
		// at their place and cannot read the answer.
		Name: d.Name, Versions: d.Versions, Platform: d.Platform,
		Inputs: rpcTensors(d.Inputs), Outputs: rpcTensors(d.Outputs),
	}, nil
}

func rpcTensors(all []tensorInfo) []*oip.ModelMetadataResponse_TensorMetadata {
	var out []*oip.ModelMetadataResponse_TensorMetadata
	for _, t := range all {
		out = append(out, &oip.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
	}
	return out
}

// RepositoryIndex lists the versions that can be asked.
func (s *rpc) RepositoryIndex(_ context.Context, in *oip.RepositoryIndexRequest) (*oip.RepositoryIndexResponse, error) {
	out := &oip.RepositoryIndexResponse{}
	for _, v := range s.f.repository(in.GetReady()) {
		out.Models = append(out.Models, &oip.RepositoryIndexResponse_ModelIndex{Name: v.Name, Version: v.Version, State: v.State, Reason: v.Reason})
	}
	return out, nil
}

// RepositoryModelLoad loads a version into this process.
func (s *rpc) RepositoryModelLoad(ctx context.Context, in *oip.RepositoryModelLoadRequest) (*oip.RepositoryModelLoadResponse, error) {
	name := rpcModel(in.GetModelName(), in.GetRepositoryName())
	err := s.f.loadInto(ctx, name, rpcVersion(in.GetParameters()))
	return &oip.RepositoryModelLoadResponse{ModelName: name, IsLoaded: err == nil}, rpcError(err)
}

// RepositoryModelUnload unloads a version that is in no route.
func (s *rpc) RepositoryModelUnload(_ context.Context, in *oip.RepositoryModelUnloadRequest) (*oip.RepositoryModelUnloadResponse, error) {
	name := rpcModel(in.GetModelName(), in.GetRepositoryName())
	err := s.f.unload(name, rpcVersion(in.GetParameters()))
	return &oip.RepositoryModelUnloadResponse{ModelName: name, IsUnloaded: err == nil}, rpcError(err)
}

// rpcModel is the model of a repository call. Triton's clients send it as the
// second field; KServe's, whose message has no repository, as the first.
func rpcModel(model, repository string) string {
	if model == "" {
		return repository
	}
	return model
}

func rpcVersion(parameters map[string]*oip.ModelRepositoryParameter) string {
	return parameters["version"].GetStringParam()
}
