package inference

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/functions/inference/predictionlog"
	"millrace.dev/shared/onnx"
)

// prediction is one request being answered by a version, and its result.
type prediction struct {
	served  *served
	version *version // acquired
	route   string
	began   time.Time
	until   time.Time // when its run is ended
	// mirrored is a copy of the request if it is to be repeated, else nil.
	mirrored *mirrored
}

// predict makes the answer to a request in q.Out, whatever the protocol. The
// caller writes it, calls answered, and releases the prediction's version. An
// error has been counted and logged.
func (f *F) predict(ctx context.Context, s *served, c codec.Call, q *codec.Request) (prediction, error) {
	if err := s.limiter.enter(ctx); err != nil {
		f.metrics.refused(s.name, codec.StatusOf(err))
		return prediction{}, err
	}
	p := prediction{served: s, began: time.Now()}
	p.until = p.began.Add(s.limiter.timeout)
	err := f.work(ctx, &p, c, q)
	switch {
	case err == nil:
	case p.version == nil:
		f.metrics.refused(p.served.name, codec.StatusOf(err))
	default:
		f.failed(ctx, &p, q, err)
		p.version.release()
	}
	return p, err
}

// work is what the limiter bounds: it chooses a version and runs it.
func (f *F) work(ctx context.Context, p *prediction, c codec.Call, q *codec.Request) error {
	defer p.served.limiter.leave() // the limiter that it has entered, whatever choose makes of served
	if err := f.choose(ctx, p, c, q); err != nil {
		return err
	}
	p.mirrored = f.mirrors.copyOf(p.served, c, q)
	return f.run(ctx, p, c, q)
}

// choose acquires the version that answers, by path, header or route. If the
// routing changes meanwhile, it chooses again.
func (f *F) choose(ctx context.Context, p *prediction, c codec.Call, q *codec.Request) error {
	if c.Version != "" {
		v, err := f.pinned(ctx, p.served, c.Version)
		p.version, p.route = v, routePinned
		return err
	}
	for s := p.served; ; p.served = s {
		if len(s.shares) == 0 {
			return codec.Errorf(http.StatusServiceUnavailable, "%s", s.reason)
		}
		sh := s.shares[0]
		if len(s.shares) > 1 {
			sh = s.pick(point(s, c, q))
		}
		if sh.version.acquire() {
			p.version, p.route = sh.version, sh.route
			return nil
		}
		next, err := f.routing.Load().model(s.name)
		if err != nil || next == s {
			return codec.Errorf(http.StatusServiceUnavailable, "%s is being stopped", s.name)
		}
		s = next
	}
}

// point places a request in the traffic: by its key, else its id, else at random.
func point(s *served, c codec.Call, q *codec.Request) uint64 {
	if c.Key != "" {
		return pointOf(s.name, c.Key)
	}
	if c.Protocol == codec.V2 {
		if id := q.PeekID(); id != nil {
			return pointOf(s.name, id)
		}
	}
	if c.ID != "" {
		return pointOf(s.name, c.ID)
	}
	return rand.Uint64N(whole)
}

// pinned acquires the requested version, and loads it if necessary.
func (f *F) pinned(ctx context.Context, s *served, text string) (*version, error) {
	number, err := s.number(text)
	if err != nil {
		return nil, err
	}
	if sh, ok := s.share(number); ok && sh.version.acquire() {
		return sh.version, nil
	}
	v, err := f.version(ctx, s.state, number)
	if err != nil {
		f.deps.Logger.ErrorContext(ctx, "a requested version cannot be loaded", "pipeline", s.name, "version", number, "error", err)
		return nil, codec.Errorf(http.StatusServiceUnavailable, "version %d of %s cannot be loaded now", number, s.name)
	}
	return v, nil
}

// run reads the rows, scores them, and makes the answer.
func (f *F) run(ctx context.Context, p *prediction, c codec.Call, q *codec.Request) error {
	began := time.Now()
	if err := q.Read(p.version.schema, c, p.served.limits); err != nil {
		return err
	}
	parsed := time.Now()
	p.served.metrics.parse.Observe(parsed.Sub(began).Seconds())
	if err := p.version.score(ctx, p.until, q); err != nil {
		if errors.Is(err, onnx.ErrTimeout) {
			return p.timedOut()
		}
		return err
	}
	p.served.limiter.answered()
	q.Classify()
	if n := len(q.Undefined); n > 0 {
		f.metrics.undefined.WithLabelValues(p.served.name, p.version.schema.Version).Add(float64(n))
		if p.served.undefinedIsError {
			return &codec.Error{Status: http.StatusUnprocessableEntity, Text: q.UndefinedText()}
		}
	}
	p.served.metrics.predict.Observe(time.Since(parsed).Seconds())
	q.Write(p.route)
	return nil
}

// timedOut is the answer to a request whose run was ended.
func (p *prediction) timedOut() error {
	return &codec.Error{
		Status: http.StatusGatewayTimeout,
		Text:   fmt.Sprintf("version %d of %s did not answer within %s, and its run was ended", p.version.number, p.served.name, p.served.limiter.timeout),
		Hint:   "send fewer rows in a request, or set serve.timeout in the pipeline file",
	}
}

// score runs the model over the rows, batched with other requests' if that pays. The run is ended when ctx ends, and at
// until.
func (v *version) score(ctx context.Context, until time.Time, q *codec.Request) error {
	job := onnx.Job{Context: ctx, Until: until, Batch: &q.Batch, Scores: &q.Scores}
	if b := v.batcher.Load(); b != nil && b.Takes(q.Rows) {
		return b.Run(job)
	}
	v.metrics.rows.Observe(float64(q.Rows))
	return v.model.Run(&job)
}

// answered counts and logs an answer that has just been written.
func (f *F) answered(p *prediction, q *codec.Request, writing time.Time) {
	done := time.Now()
	p.served.metrics.write.Observe(done.Sub(writing).Seconds())
	p.version.metrics.answered(http.StatusOK)
	p.served.log.Add(q, p.outcome(done.Sub(p.began), false), p.served.sampled())
	if p.mirrored != nil {
		f.mirrors.offer(p.mirrored, q.ID)
	}
}

// failed counts and logs a request that a version did not answer.
func (f *F) failed(ctx context.Context, p *prediction, q *codec.Request, err error) {
	code, blamed := f.failure(ctx, p, err)
	p.version.metrics.answered(code)
	if p.mirrored != nil {
		f.mirrors.drop(p.mirrored)
	}
	if blamed {
		p.served.log.Add(q, p.outcome(0, true), false)
	}
}

// failure returns what an error is to the client, and whether the version is to
// blame: it is when the model fails or answers NaN, and when it is a canary that
// refuses what the champion would take.
func (f *F) failure(ctx context.Context, p *prediction, err error) (code int, blamed bool) {
	if e, ok := errors.AsType[*codec.Error](err); ok {
		onlyCanary := e.Missing != "" && p.route == routeCanary && !p.served.champion().schema.Reads(e.Missing)
		undefined := e.Status == http.StatusUnprocessableEntity
		if e.Status == http.StatusGatewayTimeout && f.repeats.first("timeout"+p.served.name+p.version.schema.Version) {
			f.deps.Logger.ErrorContext(ctx, "the model did not answer in time", "pipeline", p.served.name, "version", p.version.number, "error", err)
		}
		return e.Status, e.Status >= http.StatusInternalServerError || undefined || onlyCanary
	}
	if ctx.Err() != nil {
		return codec.StatusClientClosed, false
	}
	if f.repeats.first(p.served.name + p.version.schema.Version) {
		f.deps.Logger.ErrorContext(ctx, "the model failed to answer", "pipeline", p.served.name, "version", p.version.number, "error", err)
	}
	return http.StatusInternalServerError, !errors.Is(err, onnx.ErrClosed)
}

// outcome returns the prediction as an answer for the log.
func (p *prediction) outcome(took time.Duration, failed bool) predictionlog.Answer {
	return predictionlog.Answer{Version: p.version.number, Route: p.route, Layout: p.version.layout, At: p.began, Took: took, Failed: failed}
}

// take borrows the memory of a request; put returns it.
func (f *F) take() *codec.Request {
	q := f.requests.Get().(*codec.Request)
	q.Reset()
	return q
}

func (f *F) put(q *codec.Request) {
	if q.Reusable() {
		f.requests.Put(q)
	}
}
