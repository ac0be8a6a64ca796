package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace.dev/events"
	"millrace.dev/shared/function/functiontest"
	"millrace.dev/shared/state"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights, copycat)
	got := r.uploads("/uploads/flights/2013-01.csv", "a,b\n1,true\n")
	if len(got) != 2 || got[0].Pipeline != "copycat" || got[1].Pipeline != "flights" {
		t.Fatalf("uploads: %+v", got)
	}
	u := got[1]
	if u.Key != "flights/2013-01.csv" || u.Size != 11 || u.Duplicate || !strings.HasPrefix(u.Digest, "sha256:") {
		t.Errorf("%+v", u)
	}
	e, ok, err := r.Log.Find(functiontest.Context(t), "flights", u.Event)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	d := functiontest.Data[events.ObjectUploaded](t, e)
	if d.By != "upload" || d.Bucket != "" || d.Content.Digest != u.Digest || e.Function() != "gateway" {
		t.Errorf("%+v", d)
	}
	if b, err := r.Artifacts.Bytes(functiontest.Context(t), d.Content, 100); string(b) != "a,b\n1,true\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if o := r.State(t, "flights").Objects["flights/2013-01.csv"]; o == nil || o.Status != state.ObjectUploaded || o.Event != u.Event {
		t.Errorf("object: %+v", o)
	}
}

func TestUploadAgain(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	const path = "/uploads/flights/x.csv"
	a := r.uploads(path, "A")[0]
	if again := r.uploads(path, "A")[0]; !again.Duplicate || again.Event != a.Event {
		t.Errorf("the same bytes again: %+v", again)
	}
	b := r.uploads(path, "B")[0]
	back := r.uploads(path, "A")[0]
	if b.Duplicate || back.Duplicate || back.Event == a.Event {
		t.Errorf("A, B, A are three uploads: %+v, %+v", b, back)
	}
	r.do(http.MethodDelete, path, nil).is(http.StatusOK)
	if again := r.do(http.MethodDelete, path, nil).is(http.StatusOK, `"duplicate":true`); again.status != 200 {
		t.Error(again.status)
	}
	if after := r.uploads(path, "A")[0]; after.Duplicate {
		t.Errorf("after the removal: %+v", after)
	}
	if got, want := r.objects("flights"), "+flights/x.csv +flights/x.csv +flights/x.csv -flights/x.csv +flights/x.csv"; got != want {
		t.Errorf("the log has %s, want %s", got, want)
	}
	r.do(http.MethodDelete, "/uploads/flights/y.csv", nil).is(http.StatusNotFound, "no upload")
}

func TestUploadAgainAfterRejection(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	a := r.uploads("/uploads/flights/x.csv", "A")[0]
	reject := func(config string) {
		r.Announce(t, "flights", "ingest", events.PartitionRejected{
			Object: events.Object{Key: "flights/x.csv"}, Stage: "ingest", Content: a.Digest, Config: config, Problems: []events.Problem{{Reason: "bad"}},
		})
	}
	reject(r.State(t, "flights").Configured.Digest)
	if again := r.uploads("/uploads/flights/x.csv", "A")[0]; !again.Duplicate {
		t.Errorf("under the same configuration: %+v", again)
	}
	r.ConfigureYAML(t, strings.Replace(flights, "a: {type: float}", "a: {type: string}", 1))
	if again := r.uploads("/uploads/flights/x.csv", "A")[0]; again.Duplicate {
		t.Errorf("under another configuration: %+v", again)
	}
}

func TestManyUploadsAtOnce(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			u := r.uploads("/uploads/flights/x.csv", "the same")[0]
			mu.Lock()
			ids[u.Event] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("the same upload eight times at once is %d events", len(ids))
	}
}

func TestUploadRefused(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights, copycat)
	for _, tt := range []struct {
		path   string
		status int
		words  string
	}{
		{"/uploads/flight/x.csv", 404, `did you mean \"flights\"`},
		{"/uploads/weather/x.csv", 404, "copycat, flights"},
		{"/uploads/flights/x.parquet", 422, "flights/*.csv"},
		{"/uploads/flights/a/x.csv", 422, "flights-labels/*"},
		{"/uploads/flights", 400, "no name behind the pipeline"},
		{"/uploads/flights/", 400, "no name"},
		{"/uploads/", 400, "is empty"},
		{"/uploads/flights/a%00b.csv", 400, "control characters"},
		{"/uploads/flights/a%0Ab.csv", 400, "control characters"},
		{"/uploads/flights/a%5Cb.csv", 400, "backslash"},
		{"/uploads/flights/%FF.csv", 400, "UTF-8"},
		{"/uploads/flights/" + strings.Repeat("x", 1020) + ".csv", 400, "at most 1024"},
	} {
		r.put(tt.path, "x").is(tt.status, tt.words, `"error"`)
	}
	for _, path := range []string{"/uploads/flights/%2e%2e/x.csv", "/uploads/..%2F..%2Fetc/passwd", "/uploads/flights%2F%2Fx.csv", "/uploads/%2Fetc/x.csv"} {
		r.put(path, "x").is(400)
	}
	r.put("/uploads/flights/../x.csv", "x").is(400, "may not contain")
	if got := r.objects("flights"); got != "" {
		t.Errorf("the log has %s", got)
	}
}

func TestUploadTooLarge(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.MaxUpload = 1000
	r := newEnv(t, cfg, flights)
	large := strings.Repeat("x", 1001)
	r.put("/uploads/flights/x.csv", large).is(413, "larger than the limit of 1000 bytes", "MILLRACE_MAX_UPLOAD")
	// Without a length it is noticed on the way.
	r.do(http.MethodPut, "/uploads/flights/x.csv", io.MultiReader(strings.NewReader(large))).is(413, "larger than the limit of 1000 bytes")
	r.put("/uploads/flights/x.csv", large[:1000]).is(201)
}

func TestUploadBrokenOff(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.IdleTimeout = 300 * time.Millisecond
	r := newEnv(t, cfg, flights)
	address := strings.TrimPrefix(r.url, "http://")
	for name, tt := range map[string]struct {
		then func(net.Conn) error
		want string
	}{
		"Silent": {func(net.Conn) error { return nil }, "408"},
		"Short":  {func(c net.Conn) error { return c.(*net.TCPConn).CloseWrite() }, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := (&net.Dialer{}).DialContext(functiontest.Context(t), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_, err = fmt.Fprintf(c, "PUT /uploads/flights/x.csv HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
			if err := errors.Join(err, tt.then(c)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 "+tt.want)) {
				t.Errorf("%q, %v", got, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if got := r.objects("flights"); got != "" {
		t.Errorf("half an upload is in the log: %s", got)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	r := newGuarded(t, settings(), guardOf(t), flights)
	for _, path := range []string{"/api/status", "/api/nothing"} {
		r.get(path).is(401, "Authorization: Bearer")
	}
	r.put("/uploads/flights/x.csv", "x").is(401)
	r.post("/events", "{}").is(401)
	r.do(http.MethodGet, "/api/status", nil, "Authorization", "Bearer wrong").is(401)
	r.do(http.MethodGet, "/api/status", nil, "Authorization", "Basic "+secret).is(401)
	r.do(http.MethodGet, "/api/status", nil, "Authorization", "bearer "+secret).is(200)
}

func BenchmarkUpload(b *testing.B) {
	r := newEnv(b, settings(), flights)
	body := bytes.Repeat([]byte("0123456789abcdef"), 640)
	for i := 0; b.Loop(); i++ {
		r.put("/uploads/flights/x.csv", fmt.Sprintf("%d%s", i, body)).is(http.StatusCreated)
	}
}
