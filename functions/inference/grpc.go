package inference

import (
	"context"
	"net/http"
	"time"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/grpcapi"
)

// grpcBackend answers the calls of gRPC.
type grpcBackend struct{ f *F }

func newGRPC(f *F) *grpcapi.Service {
	return grpcapi.New(grpcapi.Config{
		Server: serverName, Version: protocolVersion, Extensions: extensions,
		MaxBodyBytes: f.cfg.MaxBodyBytes, ReadTimeout: f.cfg.ReadTimeout, Concurrency: f.cfg.Concurrency, Queue: f.cfg.Queue,
	}, grpcBackend{f})
}

// grpcAnswer is a prediction whose answer is to be sent. It is reused.
type grpcAnswer struct {
	f *F
	p prediction
	q *codec.Request
}

// Sent counts and logs the answer.
func (a *grpcAnswer) Sent(sending time.Time) {
	a.f.answered(&a.p, a.q, sending)
	a.p.version.release()
	a.f.metrics.inFlight.Dec()
	f := a.f
	*a = grpcAnswer{}
	f.grpcAnswers.Put(a)
}

// Answer answers the message in q, as F.answer does a body of JSON.
func (b grpcBackend) Answer(ctx context.Context, q *codec.Request, c codec.Call) (_ grpcapi.Answer, err error) {
	f := b.f
	f.metrics.inFlight.Inc()
	defer func() {
		if err != nil {
			f.metrics.inFlight.Dec()
		}
	}()
	s, err := f.routing.Load().model(c.Model)
	if err != nil {
		f.metrics.refused("", codec.StatusOf(err))
		return nil, err
	}
	p, err := f.predict(ctx, s, c, q)
	if err != nil {
		return nil, err
	}
	a := f.grpcAnswers.Get().(*grpcAnswer)
	a.f, a.p, a.q = f, p, q
	return a, nil
}

func (b grpcBackend) Take() *codec.Request { return b.f.take() }

func (b grpcBackend) Put(q *codec.Request) { b.f.put(q) }

func (b grpcBackend) Receive(w http.ResponseWriter, r *http.Request, q *codec.Request) error {
	return b.f.receive(w, r, q, codec.GRPC)
}

func (b grpcBackend) Refused(err error) { b.f.metrics.refused("", codec.StatusOf(err)) }

func (b grpcBackend) Ready(ctx context.Context) error { return b.f.Ready(ctx) }

func (b grpcBackend) RouteChanged() <-chan struct{} { return b.f.routeChanged.wait() }

func (b grpcBackend) ModelReady(model, version string) (bool, error) {
	ready, _, err := b.f.readiness(model, version)
	return ready, err
}

func (b grpcBackend) Metadata(ctx context.Context, model, version string) (codec.Metadata, error) {
	return b.f.metadata(ctx, model, version)
}

func (b grpcBackend) Repository(ctx context.Context, ready bool) []codec.ModelIndex {
	return b.f.repository(ctx, ready)
}

func (b grpcBackend) Load(ctx context.Context, model, version string) error {
	return b.f.loadInto(ctx, model, version)
}

func (b grpcBackend) Unload(model, version string) error { return b.f.unload(model, version) }
