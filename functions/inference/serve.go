package inference

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace.dev/shared/onnx"
)

// The headers we know, as net/http spells them.
const (
	headerKey       = "X-Millrace-Key"
	headerVersion   = "X-Millrace-Version"
	headerRoute     = "X-Millrace-Route"
	headerRequestID = "X-Request-Id"
	// headerJSON is how many bytes of a body are JSON; binary tensors follow.
	headerJSON = "Inference-Header-Content-Length"
)

var (
	jsonType  = []string{"application/json"}
	bytesType = []string{"application/octet-stream"}
)

// Routes registers the paths of the Open Inference Protocol and of KServe's V1
// protocol.
func (f *F) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2", f.server)
	mux.HandleFunc("GET /v2/{$}", f.server)
	mux.HandleFunc("GET /v2/health/live", f.live)
	mux.HandleFunc("GET /v2/health/ready", f.ready)
	mux.HandleFunc("GET /v2/models", f.list)
	mux.HandleFunc("GET /v2/models/{model}", f.describeModel)
	mux.HandleFunc("GET /v2/models/{model}/ready", f.modelReady)
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}", f.describeModel)
	mux.HandleFunc("GET /v2/models/{model}/versions/{version}/ready", f.modelReady)
	mux.HandleFunc("POST /v2/models/{model}/infer", f.infer)
	mux.HandleFunc("POST /v2/models/{model}/versions/{version}/infer", f.infer)
	mux.HandleFunc("POST /v2/models/{model}/feedback", f.feedback)
	mux.HandleFunc("POST /v2/repository/index", f.repositoryIndex)
	mux.HandleFunc("POST /v2/repository/models/{model}/load", f.repositoryLoad)
	mux.HandleFunc("POST /v2/repository/models/{model}/unload", f.repositoryUnload)
	mux.HandleFunc("GET /v1/models", f.list)
	mux.HandleFunc("GET /v1/models/{model}", f.modelReady)
	mux.HandleFunc("POST /v1/models/{call}", f.predict)
	mux.HandleFunc("GET /openapi.json", describeAPI)
	mux.HandleFunc("/v2/", noSuchPath)
	mux.HandleFunc("/v1/models/", noSuchPath)
	f.rpc.routes(mux)
}

func noSuchPath(w http.ResponseWriter, r *http.Request) {
	writeMistake(w, mistakef(http.StatusNotFound, "there is nothing at %s %s; predictions are at POST /v2/models/<model>/infer and POST /v1/models/<model>:predict", r.Method, r.URL.Path))
}

func (f *F) infer(w http.ResponseWriter, r *http.Request) {
	f.answer(w, r, callOf(r, r.PathValue("model"), r.PathValue("version")))
}

func (f *F) predict(w http.ResponseWriter, r *http.Request) {
	model, verb, _ := strings.Cut(r.PathValue("call"), ":")
	if verb != "predict" {
		noSuchPath(w, r)
		return
	}
	c := callOf(r, model, "")
	c.v1 = true
	f.answer(w, r, c)
}

// call is what was asked for beside the rows, by whichever protocol.
type call struct {
	model   string
	version string // "" for the route's
	key     string // places the request in the traffic; "" for none
	id      string // "" when it is in the body, or there is none
	v1      bool
}

func callOf(r *http.Request, model, version string) call {
	c := call{model: model, version: version, key: first(r.Header[headerKey]), id: first(r.Header[headerRequestID])}
	if version == "" {
		c.version = first(r.Header[headerVersion])
	}
	return c
}

// first gives the first value of a header, "" if there is none.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// answer answers one request to predict, and writes down what came of it.
func (f *F) answer(w http.ResponseWriter, r *http.Request, c call) {
	f.meters.inFlight.Inc()
	defer f.meters.inFlight.Dec()
	s, err := f.routing.Load().model(c.model)
	if err != nil {
		f.meters.refused("", codeOf(err))
		writeMistake(w, err)
		return
	}
	q := f.take()
	defer f.put(q)
	err = q.read(w, r, f.cfg.MaxBodyBytes, f.cfg.ReadTimeout)
	if err == nil && !c.v1 {
		err = q.split(r.Header[headerJSON])
	}
	if err == nil {
		err = f.gate.enter(r.Context())
	}
	if err != nil {
		f.meters.refused(s.name, codeOf(err))
		writeMistake(w, err)
		return
	}
	began := time.Now()
	s, sh, err := f.work(r.Context(), s, c, q)
	v := sh.version
	if v == nil {
		f.meters.refused(s.name, codeOf(err))
		writeMistake(w, err)
		return
	}
	defer v.release()
	a := outcome{version: v, route: sh.route, at: began, code: http.StatusOK}
	if err != nil {
		f.failed(r.Context(), s, sh, q, a, err)
		writeMistake(w, err)
		return
	}
	writing := time.Now()
	h := w.Header()
	h["Content-Type"] = jsonType
	if c.v1 {
		h[headerVersion] = v.header
		h[headerRoute] = []string{sh.route}
		h[headerRequestID] = []string{string(q.id)}
	}
	if q.outJSON > 0 {
		h["Content-Type"] = bytesType
		h[headerJSON] = []string{strconv.Itoa(q.outJSON)}
	}
	if len(q.out) > chunk {
		h["Content-Length"] = []string{strconv.Itoa(len(q.out))}
	}
	_, _ = w.Write(q.out) // a client that has gone was answered all the same
	done := time.Now()
	s.meters.write.Observe(done.Sub(writing).Seconds())
	f.answered(s, q, a, done)
}

// answered writes down an answer.
func (f *F) answered(s *served, q *request, a outcome, at time.Time) {
	a.version.meters.answered(a.code)
	a.took = at.Sub(a.at)
	s.log.add(q, a, s.sampled())
	if q.mirrored != nil {
		f.mirrors.offer(q.mirrored, q.id)
	}
}

// failed writes down that a version gave no answer.
func (f *F) failed(ctx context.Context, s *served, sh share, q *request, a outcome, err error) {
	a.code, a.failed = f.failure(ctx, s, sh, err)
	a.version.meters.answered(a.code)
	if q.mirrored != nil {
		f.mirrors.drop(q.mirrored)
	}
	if a.failed {
		s.log.add(q, a, false)
	}
}

// work does what the gate bounds: it chooses the version, which it gives held
// unless there is none, and makes the answer in q.
func (f *F) work(ctx context.Context, s *served, c call, q *request) (*served, share, error) {
	defer f.gate.leave()
	s, sh, err := f.choose(ctx, s, c, q)
	if err == nil {
		q.mirrored = f.mirrors.copyOf(s, c, q)
		err = f.run(ctx, s, sh.version, sh.route, c, q)
	}
	return s, sh, err
}

// chunk is the size up to which net/http finds the length by itself.
const chunk = 2048

// choose finds the version that answers, held for the caller, by path, header
// or route. The routing may have changed meanwhile: then it is asked again.
func (f *F) choose(ctx context.Context, s *served, c call, q *request) (*served, share, error) {
	if c.version != "" {
		sh, err := f.pinned(ctx, s, c.version)
		return s, sh, err
	}
	for {
		if len(s.shares) == 0 {
			return s, share{}, mistakef(http.StatusServiceUnavailable, "%s", s.reason)
		}
		sh := s.shares[0]
		if len(s.shares) > 1 {
			sh = s.pick(point(s, c, q))
		}
		if sh.version.acquire() {
			return s, sh, nil
		}
		next, err := f.routing.Load().model(s.name)
		if err != nil || next == s {
			return s, share{}, mistakef(http.StatusServiceUnavailable, "%s is being stopped", s.name)
		}
		s = next
	}
}

// point places a request in the traffic: by its key, else its id, else anywhere.
func point(s *served, c call, q *request) uint64 {
	if c.key != "" {
		return pointOf(s.name, c.key)
	}
	if !c.v1 && !q.rpc {
		if id := idOf(q.json()); id != nil {
			return pointOf(s.name, id)
		}
	}
	if c.id != "" {
		return pointOf(s.name, c.id)
	}
	return anyPoint()
}

// pinned loads the version that was asked for, if it may be asked.
func (f *F) pinned(ctx context.Context, s *served, text string) (share, error) {
	number, err := s.number(text)
	if err != nil {
		return share{}, err
	}
	if sh, ok := s.share(number); ok && sh.version.acquire() {
		return share{version: sh.version, route: routePinned}, nil
	}
	v, err := f.version(ctx, s.state, number)
	if err != nil {
		f.deps.Logger.ErrorContext(ctx, "a version that was asked for cannot be loaded", "pipeline", s.name, "version", number, "error", err)
		return share{}, mistakef(http.StatusServiceUnavailable, "version %d of %s cannot be loaded now", number, s.name)
	}
	return share{version: v, route: routePinned}, nil
}

// run parses, predicts and writes the answer into the request's memory.
func (f *F) run(ctx context.Context, s *served, v *version, route string, c call, q *request) error {
	began := time.Now()
	if err := q.parse(s, v, c, f.cfg.MaxRows); err != nil {
		return err
	}
	parsed := time.Now()
	s.meters.parse.Observe(parsed.Sub(began).Seconds())
	if err := f.score(ctx, v, q); err != nil {
		return err
	}
	q.label(v)
	s.meters.predict.Observe(time.Since(parsed).Seconds())
	switch {
	case q.rpc:
		q.writeRPC(s, v, route)
	case c.v1:
		q.writePredict(v)
	default:
		q.writeInfer(s, v, route)
	}
	return nil
}

// oneGo is how many rows go through a model without a look at the context.
const oneGo = 4096

func (f *F) score(ctx context.Context, v *version, q *request) error {
	if g := v.together.Load(); g != nil && q.rows < g.rows {
		return g.score(ctx, &q.batch, &q.scores)
	}
	v.meters.rows.Observe(float64(q.rows))
	if q.rows > oneGo {
		bounded, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout, errTimeout)
		defer cancel()
		ctx = bounded
	}
	return v.model.Score(ctx, &q.batch, &q.scores)
}

var errTimeout error = &mistake{code: http.StatusGatewayTimeout, text: "the rows took too long; send fewer in a request"}

// statusGone is nginx's number for a client that did not wait for the answer.
const statusGone = 499

// failure says what an error is to the client, and whether the version is to
// blame: it is when the model fails, and when it is a canary that refuses what
// the champion would take.
func (f *F) failure(ctx context.Context, s *served, sh share, err error) (code int, failed bool) {
	var m *mistake
	switch {
	case errors.As(err, &m):
		foreign := false
		if m.missing != "" && sh.route == routeCanary {
			_, champion := s.champion().index[m.missing]
			foreign = !champion
		}
		return m.code, m.code >= http.StatusInternalServerError || foreign
	case ctx.Err() != nil:
		return statusGone, false
	}
	if f.noises.heard(s.name + sh.version.text) {
		f.deps.Logger.ErrorContext(ctx, "the model failed to answer", "pipeline", s.name, "version", sh.version.number, "error", err)
	}
	return http.StatusInternalServerError, !errors.Is(err, onnx.ErrClosed)
}
