package up

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"millrace.dev/shared/access"
	"millrace.dev/shared/service"
)

// publicRoutes are the only ones that need no token.
var publicRoutes = []string{
	"GET /healthz", "GET /readyz", "GET /v2/health/live", "GET /v2/health/ready",
	"POST /inference.GRPCInferenceService/ServerLive", "POST /inference.GRPCInferenceService/ServerReady", "POST /grpc.health.v1.Health/",
}

// TestEveryRoute asks every route of every function without a token, with a
// wrong one, with tokens that have one role each, and with the right ones. It
// asks what is registered, so that a new route cannot be forgotten.
func TestEveryRoute(t *testing.T) {
	t.Parallel()
	s := madeSystem(t)
	file := filepath.Join(t.TempDir(), "access.json")
	tokens := map[string]string{}
	var content access.File
	for _, role := range access.RoleNames {
		tokens[role] = access.NewToken()
		content.Tokens = append(content.Tokens, access.Token{Grant: access.Grant{Name: role, Roles: []string{role}}, Digest: access.Digest(tokens[role])})
	}
	elsewhere := access.NewToken()
	content.Tokens = append(content.Tokens, access.Token{
		Grant: access.Grant{Name: "elsewhere", Roles: access.RoleNames, Pipelines: []string{"another"}}, Digest: access.Digest(elsewhere),
	})
	if err := access.WriteFile(file, content); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.guard, err = access.New(access.Settings{File: file}, access.Options{}); err != nil {
		t.Fatal(err)
	}
	for i := range s.functions {
		s.functions[i].deps.Guard = s.guard
	}
	if err := s.startFunctions(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.service.Stop(t.Context()) })
	mux := s.routes()
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = service.Protocols()
	server.Start()
	t.Cleanup(server.Close)
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path, token string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		if err != nil {
			return 0, err
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	var asked errgroup.Group
	asked.SetLimit(32) // fewer than the wrong tokens that may wait
	expect := func(method, path, who, token string, want func(int) bool) {
		asked.Go(func() error {
			status, err := ask(method, path, token)
			if err != nil || !want(status) {
				t.Errorf("%s %s with %s is answered %d %v", method, path, who, status, err)
			}
			return nil
		})
	}
	refused := func(status int) bool { return status == http.StatusUnauthorized }
	forbidden := func(status int) bool { return status == http.StatusForbidden }
	admitted := func(status int) bool { return !refused(status) && !forbidden(status) }

	routes := mux.Routes()
	if len(routes) < 60 {
		t.Errorf("there are only %d routes", len(routes))
	}
	for _, r := range routes {
		method, path := request(r.Pattern)
		if slices.Contains(publicRoutes, r.Pattern) != (r.Need == access.Public) {
			t.Errorf("%s: is it public? It needs %q", r.Pattern, r.Need)
		}
		if r.Need == access.Public {
			expect(method, path, "no token", "", admitted)
			continue
		}
		expect(method, path, "no token", "", refused)
		expect(method, path, "a wrong token", access.NewToken(), refused)
		for role, token := range tokens {
			has, err := access.ParseRoles([]string{role})
			if err != nil {
				t.Fatal(err)
			}
			want := forbidden
			if (access.Caller{Kind: access.APIKey, Roles: has}).May(r.Need, "") {
				want = admitted
			}
			expect(method, path, "the role "+role, token, want)
		}
		if r.Need&access.InHandler == 0 {
			expect(method, path, "a token for another pipeline", elsewhere, forbidden)
		}
	}
	for _, path := range []string{"/", "/api", "/api/", "/v2/", "/v1", "/nothing", "/healthz/x", "//healthz", "/x/../healthz", "/.well-known/x", "/debug/pprof/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
			expect(method, path, "no token", "", refused)
		}
	}
	_ = asked.Wait() // the requests report their own errors
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// request returns a request that a pattern matches.
func request(pattern string) (method, path string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = http.MethodGet, pattern
	}
	path = strings.TrimSuffix(path, "{$}")
	switch {
	case strings.Contains(path, "{call}"):
		path = strings.Replace(path, "{call}", "tiny:predict", 1)
	case strings.Contains(path, "{key...}"):
		path = strings.Replace(path, "{key...}", "tiny/a.csv", 1)
	}
	return method, wildcard.ReplaceAllString(path, "tiny")
}
