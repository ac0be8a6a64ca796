package up

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/shared/function"
)

func TestDoor(t *testing.T) {
	token, err := function.ReadToken("s3cret", "")
	if err != nil {
		t.Fatal(err)
	}
	none := function.Token{}
	inside := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for name, c := range map[string]struct {
		token  function.Token
		local  bool
		method string
		url    string
		header [2]string
		want   int
	}{
		"no token needed":           {none, true, "GET", "http://127.0.0.1:8080/api/status", [2]string{}, 418},
		"by name":                   {none, true, "GET", "http://localhost/metrics", [2]string{}, 418},
		"by IPv6":                   {none, true, "GET", "http://[::1]:8080/metrics", [2]string{}, 418},
		"IPv6 without a port":       {none, true, "GET", "http://[::1]/metrics", [2]string{}, 418},
		"a rebound name":            {none, true, "GET", "http://evil.example/api/status", [2]string{}, 421},
		"a rebound name's port":     {none, true, "GET", "http://evil.example:8080/api/status", [2]string{}, 421},
		"a name and the token":      {token, true, "GET", "http://millrace.example/api/status", [2]string{"Authorization", "Bearer s3cret"}, 418},
		"health":                    {token, false, "GET", "http://millrace.example/healthz", [2]string{}, 418},
		"not below health":          {token, false, "GET", "http://millrace.example/healthz/x", [2]string{}, 401},
		"not beside health":         {token, false, "GET", "http://millrace.example//healthz", [2]string{}, 401},
		"metrics":                   {token, false, "GET", "http://x/metrics", [2]string{}, 401},
		"ready":                     {token, false, "GET", "http://x/readyz", [2]string{}, 401},
		"inference":                 {token, false, "POST", "http://x/v2/models/m/infer", [2]string{}, 401},
		"inference's health":        {token, false, "GET", "http://x/v2/health/live", [2]string{}, 401},
		"nothing there":             {token, false, "GET", "http://x/nothing", [2]string{}, 401},
		"another token":             {token, false, "GET", "http://x/", [2]string{"Authorization", "Bearer s3cres"}, 401},
		"the beginning of it":       {token, false, "GET", "http://x/", [2]string{"Authorization", "Bearer s3cre"}, 401},
		"another scheme":            {token, false, "GET", "http://x/", [2]string{"Authorization", "Basic s3cret"}, 401},
		"in lower case":             {token, false, "GET", "http://x/", [2]string{"Authorization", "bearer s3cret"}, 418},
		"in the query":              {token, false, "GET", "http://x/?token=s3cret", [2]string{}, 401},
		"another origin":            {none, true, "POST", "http://127.0.0.1/events", [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another origin, by Origin": {none, true, "PUT", "http://127.0.0.1/uploads/x", [2]string{"Origin", "http://evil.example"}, 403},
		"another origin reads":      {none, true, "GET", "http://127.0.0.1/api/status", [2]string{"Sec-Fetch-Site", "cross-site"}, 418},
	} {
		r := httptest.NewRequest(c.method, c.url, nil)
		if c.header[0] != "" {
			r.Header.Set(c.header[0], c.header[1])
		}
		w := httptest.NewRecorder()
		newDoor(c.token, c.local, inside).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		}
		if w.Code == 401 && (w.Header().Get("WWW-Authenticate") == "" || !strings.Contains(w.Body.String(), "Authorization: Bearer")) {
			t.Errorf("%s: %v %s", name, w.Header(), w.Body)
		}
	}
}

func TestWhoNeedsAToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
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
		"with a token":                  {Options{Listen: ":8080", Token: "s3cret"}, ""},
		"with a token's file":           {Options{Listen: ":8080", TokenFile: file}, ""},
		"with a file that is not there": {Options{Listen: ":8080", TokenFile: file + "x"}, "no such file"},
		"with both":                     {Options{Listen: ":8080", Token: "s3cret", TokenFile: file}, "one of them"},
		"no port":                       {Options{Listen: "127.0.0.1"}, "not host:port"},
		"half of TLS":                   {Options{Listen: "127.0.0.1:0", TLSCert: file}, "--tls-key"},
		"no certificate":                {Options{Listen: "127.0.0.1:0", TLSCert: file, TLSKey: file}, "read the certificate"},
	} {
		s := &system{options: c.o, logger: slog.New(slog.DiscardHandler)}
		err := s.security()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the token is in %v", name, err)
		}
	}
}
