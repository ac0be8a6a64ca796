package inference

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // messages may be compressed
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"millrace.dev/functions/inference/oip"
	"millrace.dev/shared/function"
)

// port is gRPC on a port of its own, without TLS, for callers that count
// microseconds: grpc's own HTTP/2 takes half of what net/http's takes. The
// calls are those of the common port, and the token is asked for as there.
type port struct {
	rpc     *rpc
	token   function.Token
	server  *grpc.Server
	address net.Addr
	ended   chan error
}

// window is what a client may send before it is asked to go on. That it does
// not change saves the probes for a better one.
const window = 1 << 20

func newPort(s *rpc, token function.Token) *port {
	p := &port{rpc: s, token: token, ended: make(chan error, 1)}
	p.server = grpc.NewServer(
		grpc.MaxRecvMsgSize(int(s.f.cfg.MaxBodyBytes)), grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.NumStreamWorkers(uint32(s.f.cfg.Concurrency)), grpc.MaxConcurrentStreams(uint32(s.f.cfg.Concurrency+s.f.cfg.Queue)),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}),
		grpc.UnaryInterceptor(func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := p.admit(ctx); err != nil {
				return nil, err
			}
			return handle(ctx, in)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := p.admit(stream.Context()); err != nil {
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

// open listens and answers until close.
func (p *port) open(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	p.address = l.Addr()
	go func() { p.ended <- p.server.Serve(l) }()
	return nil
}

// close ends when the calls have, or with ctx.
func (p *port) close(ctx context.Context) error {
	p.rpc.health.end()
	stop := context.AfterFunc(ctx, p.server.Stop)
	defer stop()
	p.server.GracefulStop()
	if err := <-p.ended; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// admit asks for the installation's token, if it has one.
func (p *port) admit(ctx context.Context) error {
	if !p.token.Set() {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if p.token.Admits(&http.Request{Header: http.Header{"Authorization": md.Get("authorization")}}) {
		return nil
	}
	return status.Error(codes.Unauthenticated, "this needs the installation's token: send the metadata authorization: Bearer <token>")
}

// infer answers ModelInfer: the message goes from grpc's buffers into a
// request's, and the answer back.
func (p *port) infer(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc's order
	if err := p.admit(ctx); err != nil {
		return nil, err
	}
	f := p.rpc.f
	q := f.take()
	defer f.put(q)
	if err := decode(q); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c := call{key: first(md.Get(headerKey)), version: first(md.Get(headerVersion)), id: first(md.Get(headerRequestID))}
	var reply answerBuffer
	err := f.answerRPC(ctx, q, c, func() { reply.Buffer = mem.Copy(q.out[rpcPrefix:], mem.DefaultBufferPool()) })
	if err != nil {
		st := status.Convert(rpcError(err))
		if st.Code() == codes.ResourceExhausted {
			_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", pushback(st))) // a call that has ended needs none
		}
		return nil, st.Err()
	}
	return reply, nil
}

// pushback says to clients that try again by themselves after how many
// milliseconds they should, or that they should not.
func pushback(st *status.Status) string {
	if len(st.Proto().GetDetails()) > 0 {
		return strconv.FormatInt(again.Milliseconds(), 10)
	}
	return "-1"
}

// answerBuffer is a ModelInferResponse as bytes.
type answerBuffer struct{ mem.Buffer }

// codec is the generated code's, but for ModelInfer, whose messages stay bytes.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(answerBuffer); ok {
		return mem.BufferSlice{b.Buffer}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	q, ok := v.(*request)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	n := data.Len()
	q.body = slices.Grow(q.body[:0], n)[:n]
	data.CopyTo(q.body)
	q.header = 0
	return nil
}
