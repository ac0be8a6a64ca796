package access

import (
	"cmp"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"

	"millrace.dev/shared/httperror"
)

// Mux is a ServeMux whose routes are registered with the roles that they need.
type Mux struct {
	guard *Guard
	// served has a route for every other path; bare has not, so that it knows
	// which paths exist.
	served, bare *http.ServeMux
	root         bool // a route for every other path was registered
	routes       []Route
	complete     sync.Once
	origins      *http.CrossOriginProtection
}

// Route is a registered route.
type Route struct {
	Pattern string
	// Need has alternative roles: a caller needs one of them. Public needs no role.
	Need Roles
}

// NewMux returns a mux without routes.
func NewMux(g *Guard) *Mux {
	return &Mux{guard: g, served: http.NewServeMux(), bare: http.NewServeMux(), origins: http.NewCrossOriginProtection()}
}

// Guard returns the guard that decides about the requests.
func (m *Mux) Guard() *Guard { return m.guard }

// Routes returns the routes in the order of their registration.
func (m *Mux) Routes() []Route { return m.routes }

// Pattern returns the pattern of a request's route; "" if there is no route.
func (m *Mux) Pattern(r *http.Request) string {
	_, pattern := m.bare.Handler(r)
	return pattern
}

// Handle registers a route for callers with one of the roles. The pipeline that
// a request concerns is the value {pipeline} or {model} of its path, or else
// its parameter pipeline.
func (m *Mux) Handle(need Roles, pattern string, h http.Handler) {
	guarded := m.guarded(need, h)
	m.served.Handle(pattern, guarded)
	m.bare.Handle(pattern, guarded)
	if folder := strings.TrimSuffix(pattern, "/"); folder != pattern && strings.Contains(folder, "/") {
		m.served.Handle(folder, guarded) // ServeMux would redirect it, for every caller
	}
	m.routes = append(m.routes, Route{pattern, need})
	m.root = m.root || pattern == "/"
}

// HandleFunc is Handle for a function.
func (m *Mux) HandleFunc(need Roles, pattern string, h http.HandlerFunc) { m.Handle(need, pattern, h) }

// ServeHTTP refuses requests that a web page of another origin sends to change
// something, and answers the others by their routes.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.complete.Do(func() {
		if !m.root {
			m.served.Handle("/", m.guarded(Read|InHandler, http.HandlerFunc(m.unknown)))
		}
	})
	if err := m.origins.Check(r); err != nil {
		m.refuse(w, r, refuse(causeOrigin, httperror.New(http.StatusForbidden, "a web page of another origin cannot change anything here").
			Try("send the request from a program, not from a browser")))
		return
	}
	if clean := path.Clean(r.URL.Path); clean != r.URL.Path && clean != strings.TrimSuffix(r.URL.Path, "/") {
		m.guarded(Read|InHandler, http.HandlerFunc(m.unknown)).ServeHTTP(w, r)
		return
	}
	m.served.ServeHTTP(w, r)
}

// unknown answers paths and methods without a route.
func (m *Mux) unknown(w http.ResponseWriter, r *http.Request) {
	for part := range strings.SplitSeq(r.URL.Path, "/") {
		if part == ".." { // ServeMux would silently redirect
			http.Error(w, `a path may not contain ".."; write it from the root`, http.StatusBadRequest)
			return
		}
	}
	m.bare.ServeHTTP(w, r)
}

func (m *Mux) guarded(need Roles, h http.Handler) http.Handler {
	g := m.guard
	free := need&^InHandler == Public || need&g.anonymous != 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if free && (need == Public || !g.local || LocalName(r.Host)) {
			h.ServeHTTP(w, r)
			return
		}
		c, err := g.Admit(r.Context(), need, r.Header, pipelineOf(r))
		if err != nil {
			if free { // the host name is what is wrong
				err = refuse(causeHost, httperror.New(http.StatusMisdirectedRequest, "this server is not %.120q", r.Host).
					Try("use http://127.0.0.1 or http://localhost, or send the token, with which any host name is allowed"))
			}
			m.refuse(w, r, err)
			return
		}
		h.ServeHTTP(w, r.WithContext(WithCaller(r.Context(), c)))
	})
}

func (m *Mux) refuse(w http.ResponseWriter, r *http.Request, err error) {
	m.guard.Refused(r.Context(), err, r.Method, r.URL.Path, r.RemoteAddr).WriteJSON(w)
}

// pipelineOf returns the pipeline that a request concerns; "" for all.
func pipelineOf(r *http.Request) string {
	model, _, _ := strings.Cut(r.PathValue("call"), ":") // of /v1/models/<model>:predict
	if p := cmp.Or(r.PathValue("pipeline"), r.PathValue("model"), model); p != "" {
		return p
	}
	return r.URL.Query().Get("pipeline")
}

// LocalAddress reports whether only this machine can reach an address,
// host:port.
func LocalAddress(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && LocalName(host)
}

// LocalName reports whether a host, with or without a port, is a loopback
// address or localhost.
func LocalName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || host == "[::1]" || ip != nil && ip.IsLoopback()
}
