package up

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace.dev/shared/access"
	"millrace.dev/shared/service"
)

const secret = "s3cret-s3cret-s3cret-s3cret-s3cret"

// TestCallers asks a system of each kind, without functions, for a page that
// needs the role read and for one that needs operate.
func TestCallers(t *testing.T) {
	t.Parallel()
	handler := func(o Options) http.Handler {
		o.Dir = t.TempDir()
		s := &system{options: o, logger: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
		if err := s.security(); err != nil {
			t.Fatal(err)
		}
		mux := access.NewMux(s.guard)
		inside := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
		mux.HandleFunc(access.Read, "GET /api/status", inside)
		mux.HandleFunc(access.Predict, "POST /v2/models/{model}/infer", inside)
		mux.HandleFunc(access.Upload, "PUT /uploads/{key...}", inside)
		mux.HandleFunc(access.Operate, "POST /api/pipelines/{pipeline}/promote", inside)
		service.Health(mux, s.registry, func(context.Context) error { return nil })
		return mux
	}
	local := handler(Options{Listen: "127.0.0.1:0"})
	closed := handler(Options{Listen: "127.0.0.1:0", Anonymous: []string{"none"}})
	public := handler(Options{Listen: ":0", Token: secret})
	open := handler(Options{Listen: "127.0.0.1:0", NoToken: true})
	none, bearer := [2]string{}, [2]string{"Authorization", "Bearer " + secret}
	for name, c := range map[string]struct {
		h      http.Handler
		method string
		url    string
		header [2]string
		want   int
	}{
		"reading needs no token":     {local, "GET", "http://127.0.0.1:8080/api/status", none, 418},
		"nor does a prediction":      {local, "POST", "http://127.0.0.1:8080/v2/models/m/infer", none, 418},
		"nor do metrics, by name":    {local, "GET", "http://localhost/metrics", none, 200},
		"by IPv6":                    {local, "GET", "http://[::1]:8080/api/status", none, 418},
		"IPv6 without a port":        {local, "GET", "http://[::1]/api/status", none, 418},
		"an upload needs one":        {local, "PUT", "http://127.0.0.1:8080/uploads/x", none, 401},
		"so does a promotion":        {local, "POST", "http://127.0.0.1:8080/api/pipelines/x/promote", none, 401},
		"a rebound name":             {local, "GET", "http://evil.example/api/status", none, 421},
		"a rebound name's port":      {local, "GET", "http://evil.example:8080/api/status", none, 421},
		"another origin":             {local, "POST", "http://127.0.0.1/v2/models/m/infer", [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another origin, by Origin":  {local, "PUT", "http://127.0.0.1/uploads/x", [2]string{"Origin", "http://evil.example"}, 403},
		"another origin reads":       {local, "GET", "http://127.0.0.1/api/status", [2]string{"Sec-Fetch-Site", "cross-site"}, 418},
		"closed":                     {closed, "GET", "http://127.0.0.1/api/status", none, 401},
		"closed, health":             {closed, "GET", "http://127.0.0.1/readyz", none, 200},
		"open":                       {open, "POST", "http://127.0.0.1/api/pipelines/x/promote", none, 418},
		"open, a rebound name":       {open, "POST", "http://evil.example/api/pipelines/x/promote", none, 421},
		"open, another origin":       {open, "PUT", "http://127.0.0.1/uploads/x", [2]string{"Origin", "http://evil.example"}, 403},
		"the token, any name":        {public, "GET", "http://millrace.example/api/status", bearer, 418},
		"health":                     {public, "GET", "http://millrace.example/healthz", none, 200},
		"not below health":           {public, "GET", "http://millrace.example/healthz/x", none, 401},
		"not beside health":          {public, "GET", "http://millrace.example//healthz", none, 401},
		"no other method of health":  {public, "PUT", "http://millrace.example/healthz", none, 401},
		"no other method, the token": {public, "PUT", "http://millrace.example/healthz", bearer, 405},
		"up and down":                {public, "GET", "http://millrace.example/x/../healthz", none, 401},
		"up and down, the token":     {public, "GET", "http://millrace.example/x/../healthz", bearer, 400},
		"metrics":                    {public, "GET", "http://x/metrics", none, 401},
		"inference":                  {public, "POST", "http://x/v2/models/m/infer", none, 401},
		"nothing there":              {public, "GET", "http://x/nothing", none, 401},
		"nothing there, the token":   {public, "GET", "http://x/nothing", bearer, 404},
		"another token":              {public, "GET", "http://x/api/status", [2]string{"Authorization", "Bearer " + secret[1:] + "x"}, 401},
		"the beginning of it":        {public, "GET", "http://x/api/status", [2]string{"Authorization", "Bearer " + secret[1:]}, 401},
		"another scheme":             {public, "GET", "http://x/api/status", [2]string{"Authorization", "Basic " + secret}, 401},
		"in lower case":              {public, "GET", "http://x/api/status", [2]string{"Authorization", "bearer " + secret}, 418},
		"in the query":               {public, "GET", "http://x/api/status?token=" + secret, none, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, c.url, nil)
			if c.header[0] != "" {
				r.Header.Set(c.header[0], c.header[1])
			}
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.want)
			}
			if w.Code == 401 && (w.Header().Get("WWW-Authenticate") == "" || !strings.Contains(w.Body.String(), "token")) {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
		})
	}
}

// The first start makes a token that only its owner can read, and later starts
// keep it.
func TestTokenIsMade(t *testing.T) {
	t.Parallel()
	o := Options{Dir: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"}
	start := func() (string, error) {
		s := &system{options: o, logger: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
		if err := s.security(); err != nil {
			return "", err
		}
		return access.ReadTokenFile(filepath.Join(o.Dir, TokenFile))
	}
	first, err := start()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(o.Dir, TokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if second, err := start(); err != nil || second != first {
		t.Errorf("another token: %v", err)
	}
	if err := os.Chmod(filepath.Join(o.Dir, TokenFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := start(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a token that all can read: %v", err)
	}
}

func TestWhoNeedsAToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"loopback":                      {Options{Listen: "127.0.0.1:0"}, ""},
		"another of loopback":           {Options{Listen: "127.1.2.3:0"}, ""},
		"localhost":                     {Options{Listen: "localhost:80"}, ""},
		"IPv6 loopback":                 {Options{Listen: "[::1]:80"}, ""},
		"all addresses":                 {Options{Listen: ":8080"}, "MILLRACE_TOKEN"},
		"all addresses, IPv4":           {Options{Listen: "0.0.0.0:8080"}, "MILLRACE_TOKEN"},
		"all addresses, IPv6":           {Options{Listen: "[::]:8080"}, "MILLRACE_TOKEN"},
		"a name":                        {Options{Listen: "localhost.example.com:8080"}, "MILLRACE_TOKEN"},
		"with a token":                  {Options{Listen: ":8080", Token: secret}, ""},
		"with a token's file":           {Options{Listen: ":8080", TokenFile: file}, ""},
		"with a file that is not there": {Options{Listen: ":8080", TokenFile: file + "x"}, "no such file"},
		"with both":                     {Options{Listen: ":8080", Token: secret, TokenFile: file}, "one of them"},
		"a short token":                 {Options{Listen: "127.0.0.1:0", Token: "s3cret"}, "6 characters"},
		"no token, from elsewhere":      {Options{Listen: ":8080", NoToken: true}, "--no-token"},
		"no token and a token":          {Options{Listen: "127.0.0.1:0", NoToken: true, Token: secret}, "remove one"},
		"an unknown role":               {Options{Listen: "127.0.0.1:0", Anonymous: []string{"reader"}}, "MILLRACE_ANONYMOUS"},
		"no port":                       {Options{Listen: "127.0.0.1"}, "not host:port"},
		"half of TLS":                   {Options{Listen: "127.0.0.1:0", TLSCert: file}, "--tls-key"},
		"no certificate":                {Options{Listen: "127.0.0.1:0", TLSCert: file, TLSKey: file}, "read the certificate"},
	} {
		c.o.Dir = t.TempDir()
		s := &system{options: c.o, logger: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
		err := s.security()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the token is in %v", name, err)
		}
	}
}
