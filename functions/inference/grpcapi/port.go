package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // messages may be compressed
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/access"
)

// Port is gRPC on a port of its own, without TLS, for callers that count
// microseconds: grpc-go's HTTP/2 takes half the time of net/http's. The calls
// and the roles that they need are those of the common port.
type Port struct {
	service *Service
	guard   *access.Guard
	server  *grpc.Server
	address net.Addr
	ended   chan error
}

// window is how many bytes a client may send ahead. That it is fixed saves the
// probes for a better one.
const window = 1 << 20

// NewPort returns a Port of the service, whose callers the guard admits.
func NewPort(s *Service, guard *access.Guard) *Port {
	p := &Port{service: s, guard: guard, ended: make(chan error, 1)}
	p.server = grpc.NewServer(
		grpc.MaxRecvMsgSize(int(s.cfg.MaxBodyBytes)), grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.NumStreamWorkers(uint32(s.cfg.Concurrency)), grpc.MaxConcurrentStreams(uint32(s.cfg.Concurrency+s.cfg.Queue)),
		grpc.ForceServerCodecV2(bytesCodec{encoding.GetCodecV2(proto.Name)}),
		grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			ctx, err := p.admit(ctx, info.FullMethod)
			if err != nil {
				return nil, err
			}
			return handle(ctx, in)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if _, err := p.admit(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return handle(srv, stream)
		}),
	)
	d := oip.GRPCInferenceService_ServiceDesc
	d.Methods = slices.Clone(d.Methods)
	i := slices.IndexFunc(d.Methods, func(m grpc.MethodDesc) bool {
		return "/"+d.ServiceName+"/"+m.MethodName == oip.GRPCInferenceService_ModelInfer_FullMethodName
	})
	d.Methods[i].Handler = p.infer
	p.server.RegisterService(&d, s)
	s.registerRest(p.server)
	return p
}

// Open listens and answers until Close.
func (p *Port) Open(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	p.address = l.Addr()
	go func() { p.ended <- p.server.Serve(l) }()
	return nil
}

// Address returns where the port listens, once it is open.
func (p *Port) Address() net.Addr { return p.address }

// Close ends when the calls have ended, or with ctx.
func (p *Port) Close(ctx context.Context) error {
	p.service.health.end()
	stop := context.AfterFunc(ctx, p.server.Stop)
	defer stop()
	p.server.GracefulStop()
	if err := <-p.ended; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// admit returns the context of a call that the guard admits.
func (p *Port) admit(ctx context.Context, method string) (context.Context, error) {
	need := needOf(method)
	if need == access.Public || need&p.guard.Anonymous() != 0 {
		return ctx, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c, err := p.guard.Admit(ctx, need, http.Header{"Authorization": md.Get("authorization")}, "")
	if err == nil {
		return access.WithCaller(ctx, c), nil
	}
	remote := ""
	if from, ok := peer.FromContext(ctx); ok {
		remote = from.Addr.String()
	}
	return ctx, refused(p.guard.Refused(ctx, err, "gRPC", method, remote))
}

// infer answers ModelInfer: the message goes from grpc's buffers into a
// request's, and the answer back.
func (p *Port) infer(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc's order
	ctx, err := p.admit(ctx, oip.GRPCInferenceService_ModelInfer_FullMethodName)
	if err != nil {
		return nil, err
	}
	q := p.service.backend.Take()
	defer p.service.backend.Put(q)
	if err := decode(q); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c := codec.Call{Key: first(md.Get(headerKey)), Version: first(md.Get(headerVersion)), ID: first(md.Get(headerRequestID))}
	a, err := p.service.predict(ctx, q, c)
	if err != nil {
		st := status.Convert(statusOf(err))
		if st.Code() == codes.ResourceExhausted {
			_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", pushback(st))) // a call that has ended needs none
		}
		return nil, st.Err()
	}
	sending := time.Now()
	reply := answerBuffer{mem.Copy(q.Answered(), mem.DefaultBufferPool())}
	a.Sent(sending)
	return reply, nil
}

// pushback returns after how many milliseconds a client should retry by itself,
// or that it should not.
func pushback(st *status.Status) string {
	if len(st.Proto().GetDetails()) > 0 {
		return strconv.FormatInt(retryDelay.Milliseconds(), 10)
	}
	return "-1"
}

// answerBuffer is a ModelInferResponse as bytes.
type answerBuffer struct{ mem.Buffer }

// bytesCodec is the generated code's, except for ModelInfer, whose messages stay
// bytes.
type bytesCodec struct{ encoding.CodecV2 }

func (c bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(answerBuffer); ok {
		return mem.BufferSlice{b.Buffer}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	q, ok := v.(*codec.Request)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	n := data.Len()
	q.Body = slices.Grow(q.Body[:0], n)[:n]
	data.CopyTo(q.Body)
	return nil
}
