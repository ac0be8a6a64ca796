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
	headerBinary    = "Inference-Header-Content-Length"
)

var jsonType = []string{"application/json"}

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
	mux.HandleFunc("GET /v1/models", f.list)
	mux.HandleFunc("GET /v1/models/{model}", f.modelReady)
	mux.HandleFunc("POST /v1/models/{call}", f.predict)
	mux.HandleFunc("/v2/", noSuchPath)
	mux.HandleFunc("/v1/models/", noSuchPath)
}

func noSuchPath(w http.ResponseWriter, r *http.Request) {
	writeMistake(w, mistakef(http.StatusNotFound, "there is nothing at %s %s; predictions are at POST /v2/models/<model>/infer and POST /v1/models/<model>:predict", r.Method, r.URL.Path))
}

func (f *F) infer(w http.ResponseWriter, r *http.Request) {
	f.answer(w, r, call{model: r.PathValue("model"), version: r.PathValue("version")})
}

func (f *F) predict(w http.ResponseWriter, r *http.Request) {
	model, verb, _ := strings.Cut(r.PathValue("call"), ":")
	if verb != "predict" {
		noSuchPath(w, r)
		return
	}
	f.answer(w, r, call{model: model, v1: true})
}

// call is what a path asks for.
type call struct {
	model   string
	version string // "" for the route's
	v1      bool
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
	if err = notBinary(r); err == nil {
		err = q.read(w, r, f.cfg.MaxBodyBytes, f.cfg.ReadTimeout)
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
	s, sh, err := f.work(r, s, c, q)
	v := sh.version
	if v == nil {
		f.meters.refused(s.name, codeOf(err))
		writeMistake(w, err)
		return
	}
	defer v.release()
	a := outcome{version: v, route: sh.route, at: began, code: http.StatusOK}
	if err != nil {
		a.code, a.failed = f.failure(r, s, sh, err)
		v.meters.answered(a.code)
		if a.failed {
			s.log.add(q, a, false)
		}
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
	if len(q.out) > chunk {
		h["Content-Length"] = []string{strconv.Itoa(len(q.out))}
	}
	_, _ = w.Write(q.out) // a client that has gone was answered all the same
	done := time.Now()
	s.meters.write.Observe(done.Sub(writing).Seconds())
	v.meters.answered(a.code)
	a.took = done.Sub(began)
	s.log.add(q, a, s.sampled())
}

// work does what the gate bounds: it chooses the version, which it gives held
// unless there is none, and makes the answer in q.
func (f *F) work(r *http.Request, s *served, c call, q *request) (*served, share, error) {
	defer f.gate.leave()
	s, sh, err := f.choose(r, s, c, q)
	if err == nil {
		err = f.run(r, s, sh.version, sh.route, c, q)
	}
	return s, sh, err
}

// chunk is the size up to which net/http finds the length by itself.
const chunk = 2048

// choose finds the version that answers, held for the caller, by path, header
// or route. The routing may have changed meanwhile: then it is asked again.
func (f *F) choose(r *http.Request, s *served, c call, q *request) (*served, share, error) {
	pinned := c.version
	if h := r.Header[headerVersion]; pinned == "" && len(h) > 0 {
		pinned = h[0]
	}
	if pinned != "" {
		sh, err := f.pinned(r.Context(), s, pinned)
		return s, sh, err
	}
	for {
		if len(s.shares) == 0 {
			return s, share{}, mistakef(http.StatusServiceUnavailable, "%s", s.reason)
		}
		sh := s.shares[0]
		if len(s.shares) > 1 {
			sh = s.pick(point(r, s, c, q))
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
func point(r *http.Request, s *served, c call, q *request) uint64 {
	if h := r.Header[headerKey]; len(h) > 0 && h[0] != "" {
		return pointOf(s.name, h[0])
	}
	if !c.v1 {
		if id := idOf(q.body); id != nil {
			return pointOf(s.name, id)
		}
	}
	if h := r.Header[headerRequestID]; len(h) > 0 && h[0] != "" {
		return pointOf(s.name, h[0])
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
func (f *F) run(r *http.Request, s *served, v *version, route string, c call, q *request) error {
	began := time.Now()
	var err error
	if c.v1 {
		err = q.readPredict(s, v, f.cfg.MaxRows)
	} else {
		err = q.readInfer(s, v, f.cfg.MaxRows)
	}
	if err == nil {
		header := ""
		if h := r.Header[headerRequestID]; len(h) > 0 {
			header = h[0]
		}
		err = q.identify(header)
	}
	if err != nil {
		return err
	}
	parsed := time.Now()
	s.meters.parse.Observe(parsed.Sub(began).Seconds())
	if err := f.score(r.Context(), v, q); err != nil {
		return err
	}
	q.label(v)
	s.meters.predict.Observe(time.Since(parsed).Seconds())
	if c.v1 {
		q.writePredict(v)
	} else {
		q.writeInfer(s, v, route)
	}
	return nil
}

// oneGo is how many rows go through a model without a look at the context.
const oneGo = 4096

func (f *F) score(ctx context.Context, v *version, q *request) error {
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
func (f *F) failure(r *http.Request, s *served, sh share, err error) (code int, failed bool) {
	var m *mistake
	switch {
	case errors.As(err, &m):
		foreign := false
		if m.missing != "" && sh.route == routeCanary {
			_, champion := s.champion().index[m.missing]
			foreign = !champion
		}
		return m.code, m.code >= http.StatusInternalServerError || foreign
	case r.Context().Err() != nil:
		return statusGone, false
	}
	if f.noises.heard(s.name + sh.version.text) {
		f.deps.Logger.ErrorContext(r.Context(), "the model failed to answer", "pipeline", s.name, "version", sh.version.number, "error", err)
	}
	return http.StatusInternalServerError, !errors.Is(err, onnx.ErrClosed)
}
