package access_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace.dev/shared/access"
)

// written writes an access file of the grants, and returns their tokens.
func written(t *testing.T, path string, grants ...access.Grant) []string {
	t.Helper()
	var f access.File
	var tokens []string
	for _, g := range grants {
		tokens = append(tokens, access.NewToken())
		f.Tokens = append(f.Tokens, access.Token{Grant: g, Digest: access.Digest(tokens[len(tokens)-1])})
	}
	if err := access.WriteFile(path, f); err != nil {
		t.Fatal(err)
	}
	return tokens
}

// served returns a server of some routes behind the guard.
func served(t *testing.T, g *access.Guard) func(method, path, token string) (int, string) {
	t.Helper()
	mux := access.NewMux(g)
	inside := func(w http.ResponseWriter, r *http.Request) {
		c, _ := access.CallerOf(r.Context())
		_, _ = io.WriteString(w, c.Name)
	}
	mux.HandleFunc(access.Public, "GET /healthz", inside)
	mux.HandleFunc(access.Read, "GET /api/events", inside)
	mux.HandleFunc(access.Operate, "POST /api/pipelines/{pipeline}/promote", inside)
	mux.HandleFunc(access.Admin, "POST /api/import", inside)
	mux.HandleFunc(access.Predict, "POST /v2/models/{model}/infer", inside)
	mux.HandleFunc(access.Predict, "POST /v1/models/{call}", inside)
	mux.HandleFunc(access.Upload|access.InHandler, "PUT /uploads/{key...}", func(w http.ResponseWriter, r *http.Request) {
		pipeline, _, _ := strings.Cut(r.PathValue("key"), "/")
		if err := access.Check(r.Context(), access.Upload, pipeline); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	return func(method, path, token string) (int, string) {
		r := httptest.NewRequest(method, path, http.NoBody)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.json")
	tokens := written(t, file,
		access.Grant{Name: "app", Roles: []string{"predict"}, Pipelines: []string{"flights"}},
		access.Grant{Name: "ci", Roles: []string{"upload", "operate"}, Pipelines: []string{"flights", "tumours"}},
		access.Grant{Name: "dashboard", Roles: []string{"read"}},
		access.Grant{Name: "boss", Roles: []string{"admin"}})
	app, ci, dashboard, boss := tokens[0], tokens[1], tokens[2], tokens[3]
	g, err := access.New(access.Settings{File: file}, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask := served(t, g)
	for _, c := range []struct {
		token, method, path string
		status              int
		says                string
	}{
		{"", "GET", "/healthz", 200, ""},
		{app, "POST", "/v2/models/flights/infer", 200, "app"},
		{app, "POST", "/v1/models/flights:predict", 200, "app"},
		{app, "POST", "/v1/models/tumours:predict", 403, "for flights only"},
		{app, "POST", "/v2/models/tumours/infer", 403, `concerns \"tumours\"`},
		{app, "POST", "/v2/models/tumours/infer?pipeline=flights", 403, "for flights only"},
		{app, "GET", "/api/events", 403, `the token \"app\" has the roles predict, and this needs read`},
		{app, "POST", "/api/pipelines/flights/promote", 403, "needs operate"},
		{ci, "POST", "/api/pipelines/flights/promote", 200, "ci"},
		{ci, "POST", "/api/pipelines/other/promote", 403, "for flights, tumours only"},
		{ci, "GET", "/api/events", 403, "concerns all pipelines"},
		{ci, "GET", "/api/events?pipeline=tumours", 200, "ci"},
		{ci, "PUT", "/uploads/tumours/x.csv", 200, ""},
		{ci, "PUT", "/uploads/other/x.csv", 403, "for flights, tumours only"},
		{ci, "POST", "/api/import", 403, "needs admin"},
		{dashboard, "GET", "/api/events", 200, "dashboard"},
		{dashboard, "PUT", "/uploads/flights/x.csv", 403, "needs upload"},
		{dashboard, "GET", "/nothing", 404, ""},
		{boss, "POST", "/api/import", 200, "boss"},
		{boss, "POST", "/v2/models/anything/infer", 200, "boss"},
		{"", "GET", "/api/events", 401, "needs a token"},
		{"", "GET", "/nothing", 401, "needs a token"},
		{app + "x", "GET", "/api/events", 401, "not one of this installation"},
	} {
		if status, body := ask(c.method, c.path, c.token); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s with %.8s: %d %s, want %d and %s", c.method, c.path, c.token, status, body, c.status, c.says)
		}
	}
}

// Without any setting only health is answered.
func TestNothingIsSet(t *testing.T) {
	t.Parallel()
	g, err := access.New(access.Settings{}, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask := served(t, g)
	for _, path := range []string{"/api/events", "/nothing", "/"} {
		for _, token := range []string{"", strings.Repeat("x", 40)} {
			if status, body := ask("GET", path, token); status != 401 || !strings.Contains(body, "has no token") {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	}
	if status, _ := ask("GET", "/healthz", ""); status != 200 {
		t.Errorf("health: %d", status)
	}
}

// A token is revoked, and another one made, while the server runs. The file is a
// Secret that kubelet has mounted: a link to a file in a folder that is swapped.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	swap := func(version string, grants ...access.Grant) []string {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		tokens := written(t, filepath.Join(dir, version, "access.json"), grants...)
		must(t, os.Chmod(filepath.Join(dir, version, "access.json"), 0o644)) // as kubelet has it
		must(t, os.Symlink(version, filepath.Join(dir, "..tmp")))
		must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		return tokens
	}
	old := swap("..1", access.Grant{Name: "old", Roles: []string{"read"}})[0]
	file := filepath.Join(dir, "access.json")
	must(t, os.Symlink("..data/access.json", file))
	g, err := access.New(access.Settings{File: file}, access.Options{})
	must(t, err)
	ask := served(t, g)
	if status, body := ask("GET", "/api/events", old); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	fresh := swap("..2", access.Grant{Name: "fresh", Roles: []string{"read"}})[0]
	until(t, "the new token is taken", func() bool { status, _ := ask("GET", "/api/events", fresh); return status == 200 })
	if status, _ := ask("GET", "/api/events", old); status != 401 {
		t.Errorf("the old token is answered %d", status)
	}
	must(t, os.WriteFile(filepath.Join(dir, "..2", "access.json"), []byte("{"), 0o600))
	if status, _ := ask("GET", "/api/events", fresh); status != 200 {
		t.Errorf("after a mistake in the file the token is answered %d", status)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	digest := access.Digest(access.NewToken())
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		says    []string
	}{
		"readable by all":  {`{}`, 0o644, []string{"other users of this machine", "0644", "chmod 600"}},
		"by the group":     {`{}`, 0o640, []string{"other users of this machine"}},
		"not JSON":         {`x`, 0o600, []string{"not an access file"}},
		"an unknown field": {`{"tokens": [{"name": "a", "token": "x"}]}`, 0o600, []string{`unknown field "token"`}},
		"several mistakes": {`{"tokens": [{"name": "a b", "digest": "x", "roles": ["boss"]}, {"name": "c", "digest": "` + digest + `"}]}`, 0o600, []string{"a name has", "64 hexadecimal", `"boss": not a role`, "token 2 (c): roles are missing"}},
		"two of a name":    {`{"tokens": [{"name": "a", "roles": ["read"], "digest": "` + digest + `"}, {"name": "a", "roles": ["read"], "digest": "` + digest + `"}]}`, 0o600, []string{"same name", "same digest"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "access.json")
			must(t, os.WriteFile(file, []byte(c.content), 0o600))
			must(t, os.Chmod(file, c.mode))
			_, err := access.New(access.Settings{File: file}, access.Options{})
			for _, want := range c.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %s", err, want)
				}
			}
		})
	}
	for name, c := range map[string]struct{ token, says string }{
		"short": {"s3cret", "6 characters"}, "with a space": {strings.Repeat("a ", 20) + "a", "white space"}, "empty": {"", "0 characters"},
	} {
		file := filepath.Join(t.TempDir(), "token")
		must(t, os.WriteFile(file, []byte(c.token+"\n"), 0o600))
		if _, err := access.New(access.Settings{TokenFile: file}, access.Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := access.Settings{Token: "short", TokenFile: "/x", Anonymous: []string{"reader"}}.Validate()
	for _, want := range []string{"both set", "MILLRACE_TOKEN has 5 characters", "MILLRACE_ANONYMOUS"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

// Refusals are counted, logged once a minute and, with a wrong token, slow.
func TestRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		metrics := prometheus.NewRegistry()
		g, err := access.New(access.Settings{Token: strings.Repeat("t", 32)}, access.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: metrics})
		must(t, err)
		ask := served(t, g)
		for range 3 {
			ask("GET", "/api/events", "")
		}
		began := time.Now()
		ask("GET", "/api/events", "wrong")
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("a wrong token is answered after %s", took)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // the clock of the bubble
		ask("GET", "/api/events", "")
		var causes []string
		for line := range bytes.Lines(log.Bytes()) {
			var l struct {
				Cause string
				Times int
			}
			must(t, json.Unmarshal(line, &l))
			causes = append(causes, l.Cause+strings.Repeat("*", l.Times))
		}
		if got := strings.Join(causes, " "); got != "no-token* wrong-token* no-token***" {
			t.Errorf("logged: %s", got)
		}
		if n := testutil.CollectAndCount(metrics, "millrace_access_refused_total"); n != 6 {
			t.Errorf("%d series", n)
		}
		// More wrong tokens at once than may wait are refused without a pause.
		var many sync.WaitGroup
		statuses := make(chan int, 100)
		for range 100 {
			many.Go(func() { status, _ := ask("GET", "/api/events", "wrong"); statuses <- status })
		}
		many.Wait()
		close(statuses)
		counts := map[int]int{}
		for s := range statuses {
			counts[s]++
		}
		if counts[401] != 64 || counts[429] != 36 {
			t.Errorf("%v", counts)
		}
	})
}

// FuzzToken: no header admits anybody but the token itself.
func FuzzToken(f *testing.F) {
	token := strings.Repeat("0123456789abcdef", 4)
	for _, h := range []string{"", "Bearer", "Bearer ", "bearer x", "Basic " + token, token, "Bearer " + token[1:], "Bearer\t" + token, "Bearer " + token + " x"} {
		f.Add(h)
	}
	g, err := access.New(access.Settings{Token: token}, access.Options{})
	must(f, err)
	f.Fuzz(func(t *testing.T, header string) {
		c, err := g.Caller(t.Context(), http.Header{"Authorization": {header}})
		scheme, word, _ := strings.Cut(header, " ")
		if is := strings.EqualFold(scheme, "bearer") && strings.TrimSpace(word) == token; is != (err == nil) || !is && c.May(access.Read, "") {
			t.Errorf("%q: %+v %v", header, c, err)
		}
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
