package inference

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/access"
)

// The headers we know, as net/http spells them.
const (
	headerKey       = "X-Millrace-Key"
	headerVersion   = "X-Millrace-Version"
	headerRoute     = "X-Millrace-Route"
	headerRequestID = "X-Request-Id"
)

var (
	jsonType  = []string{"application/json"}
	bytesType = []string{"application/octet-stream"}
)

// Routes registers the paths of the Open Inference Protocol and of KServe's V1
// protocol, each with the roles that it needs.
func (f *F) Routes(mux *access.Mux) {
	const describe = access.Predict | access.Read
	mux.HandleFunc(describe|access.InHandler, "GET /{$}", f.server)
	mux.HandleFunc(describe|access.InHandler, "GET /v2", f.server)
	mux.HandleFunc(describe|access.InHandler, "GET /v2/{$}", f.server)
	mux.HandleFunc(access.Public, "GET /v2/health/live", f.live)
	mux.HandleFunc(access.Public, "GET /v2/health/ready", f.ready)
	mux.HandleFunc(describe|access.InHandler, "GET /v2/models", f.list)
	mux.HandleFunc(describe, "GET /v2/models/{model}", f.describeModel)
	mux.HandleFunc(describe, "GET /v2/models/{model}/ready", f.modelReady)
	mux.HandleFunc(describe, "GET /v2/models/{model}/versions/{version}", f.describeModel)
	mux.HandleFunc(describe, "GET /v2/models/{model}/versions/{version}/ready", f.modelReady)
	mux.HandleFunc(access.Predict, "POST /v2/models/{model}/infer", f.infer)
	mux.HandleFunc(access.Predict, "POST /v2/models/{model}/versions/{version}/infer", f.infer)
	mux.HandleFunc(access.Upload, "POST /v2/models/{model}/feedback", f.feedback)
	mux.HandleFunc(describe|access.InHandler, "POST /v2/repository/index", f.repositoryIndex)
	mux.HandleFunc(access.Operate, "POST /v2/repository/models/{model}/load", f.repositoryLoad)
	mux.HandleFunc(access.Operate, "POST /v2/repository/models/{model}/unload", f.repositoryUnload)
	mux.HandleFunc(describe|access.InHandler, "GET /v1/models", f.list)
	mux.HandleFunc(describe, "GET /v1/models/{model}", f.modelReadyV1)
	mux.HandleFunc(access.Predict, "POST /v1/models/{call}", f.inferV1)
	mux.HandleFunc(describe|access.InHandler, "GET /openapi.json", describeAPI)
	rest := func(w http.ResponseWriter, r *http.Request) { notTaken(w, r, mux) }
	mux.HandleFunc(describe|access.InHandler, restV2, rest)
	mux.HandleFunc(describe|access.InHandler, restV1, rest)
	f.grpc.Routes(mux)
}

// The paths whose requests no other pattern takes.
const (
	restV2 = "/v2/"
	restV1 = "/v1/models/"
)

// notTaken answers a request that no path takes: 405 if it is the method that
// does not fit, else 404.
func notTaken(w http.ResponseWriter, r *http.Request, mux *access.Mux) {
	if call, ok := strings.CutPrefix(r.URL.Path, restV1); ok && call != "" && !strings.Contains(call, "/") {
		notTakenV1(w, r, call)
		return
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if pattern := mux.Pattern(other); pattern != restV2 && pattern != restV1 && pattern != "" && pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		noSuchPath(w, r)
		return
	}
	wrongMethod(w, r, allowed...)
}

// notTakenV1 is notTaken for a model of the V1 protocol, or what follows it after
// a colon.
func notTakenV1(w http.ResponseWriter, r *http.Request, call string) {
	switch _, verb, called := strings.Cut(call, ":"); {
	case !called:
		wrongMethod(w, r, http.MethodGet, http.MethodHead)
	case verb == verbPredict:
		wrongMethod(w, r, http.MethodPost)
	default:
		noSuchPath(w, r)
	}
}

// wrongMethod answers a request whose path takes other methods.
func wrongMethod(w http.ResponseWriter, r *http.Request, allowed ...string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeError(w, &codec.Error{
		Status: http.StatusMethodNotAllowed, Text: r.URL.Path + " does not take " + r.Method, Hint: "it takes " + strings.Join(allowed, " and "),
	})
}

func noSuchPath(w http.ResponseWriter, r *http.Request) {
	writeError(w, &codec.Error{
		Status: http.StatusNotFound, Text: "there is nothing at " + r.Method + " " + r.URL.Path,
		Hint: "predictions are at POST /v2/models/<model>/infer and POST /v1/models/<model>:predict",
	})
}

func (f *F) infer(w http.ResponseWriter, r *http.Request) {
	f.answer(w, r, callOf(r, codec.V2, r.PathValue("model"), r.PathValue("version")))
}

func (f *F) inferV1(w http.ResponseWriter, r *http.Request) {
	model, verb, _ := strings.Cut(r.PathValue("call"), ":")
	if verb != verbPredict {
		notTakenV1(w, r, r.PathValue("call"))
		return
	}
	f.answer(w, r, callOf(r, codec.V1, model, ""))
}

// verbPredict is what follows the model and a colon in a V1 path.
const verbPredict = "predict"

func (f *F) modelReadyV1(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.PathValue("model"), ":"+verbPredict) {
		notTakenV1(w, r, r.PathValue("model"))
		return
	}
	f.modelReady(w, r)
}

// callOf returns the parameters of a request beside its rows.
func callOf(r *http.Request, p codec.Protocol, model, version string) codec.Call {
	c := codec.Call{Protocol: p, Model: model, Version: version, Key: first(r.Header[headerKey]), ID: first(r.Header[headerRequestID])}
	if version == "" {
		c.Version = first(r.Header[headerVersion])
	}
	return c
}

// first returns the first value of a header, "" if it has no values.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// answer answers one HTTP request to predict: it reads the body, predicts (see
// predict.go), and writes the answer.
func (f *F) answer(w http.ResponseWriter, r *http.Request, c codec.Call) {
	f.metrics.inFlight.Inc()
	defer f.metrics.inFlight.Dec()
	s, err := f.routing.Load().model(c.Model)
	if err != nil {
		f.metrics.refused("", codec.StatusOf(err))
		writeError(w, err)
		return
	}
	q := f.take()
	defer f.put(q)
	if err := f.receive(w, r, q, c.Protocol); err != nil {
		f.metrics.refused(s.name, codec.StatusOf(err))
		writeError(w, err)
		return
	}
	p, err := f.predict(r.Context(), s, c, q)
	if err != nil {
		writeError(w, err)
		return
	}
	defer p.version.release()
	writing := time.Now()
	writeAnswer(w, r, c, &p, q)
	f.answered(&p, q, writing)
}

// receive reads the body of a request to predict.
func (f *F) receive(w http.ResponseWriter, r *http.Request, q *codec.Request, p codec.Protocol) error {
	err := readBody(w, r, q, f.cfg.MaxBodyBytes, f.cfg.ReadTimeout)
	if header := r.Header[codec.HeaderJSON]; err == nil && p == codec.V2 && len(header) > 0 {
		err = q.Split(header[0])
	}
	return err
}

// chunk is the size up to which net/http finds the length by itself.
const chunk = 2048

func writeAnswer(w http.ResponseWriter, r *http.Request, c codec.Call, p *prediction, q *codec.Request) {
	h := w.Header()
	h["Content-Type"] = jsonType
	if c.Protocol == codec.V1 {
		h[headerVersion] = p.version.header
		h[headerRoute] = []string{p.route}
		h[headerRequestID] = []string{string(q.ID)}
	}
	if n := q.JSONSize(); n > 0 {
		h["Content-Type"] = bytesType
		h[codec.HeaderJSON] = []string{strconv.Itoa(n)}
	}
	if len(q.Out) >= compressedFrom && r.Header["Accept-Encoding"] != nil {
		compressed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(q.Out) })).ServeHTTP(w, r)
		return
	}
	if len(q.Out) > chunk {
		h["Content-Length"] = []string{strconv.Itoa(len(q.Out))}
	}
	_, _ = w.Write(q.Out) // a client that has gone was answered all the same
}

// writeError answers with the protocols' error object.
func writeError(w http.ResponseWriter, err error) {
	code := codec.StatusOf(err)
	h := w.Header()
	h["Content-Type"] = jsonType
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	b, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings marshal always
	_, _ = w.Write(append(b, '\n'))                               // a client that has gone misses it
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // a client that has gone misses it
}
