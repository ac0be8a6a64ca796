package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/notification"
	"millrace.dev/shared/function"
	"millrace.dev/shared/httperror"
)

func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	f, err := New(Config{MaxUpload: 1, IdleTimeout: time.Second}, function.Deps{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h := f.middleware(func(http.ResponseWriter, *http.Request) error { panic("oh") }, (*httperror.Error).WriteJSON)
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "failed to handle this request") || testutil.ToFloat64(f.metrics.panics) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A list that fails is an error: broken off once it has begun, a status before.
func TestListBreaksOff(t *testing.T) {
	t.Parallel()
	f, err := New(Config{MaxUpload: 1, IdleTimeout: time.Second}, function.Deps{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the log is gone")
	for name, send := range map[string]bool{"begun": true, "not begun": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(f.middleware(func(w http.ResponseWriter, r *http.Request) error {
				out := newStream(w, r)
				if send {
					if err := out.send(events.Envelope{Header: events.Header{ID: "1", Source: "/s", Type: "t"}}); err != nil {
						return err
					}
					out.flush()
				}
				return out.end(gone)
			}, (*httperror.Error).WriteJSON))
			defer server.Close()
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if send && (resp.StatusCode != http.StatusOK || err == nil) || !send && (resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), gone.Error())) {
				t.Errorf("%d %s, %v", resp.StatusCode, body, err)
			}
		})
	}
}

func TestConfigSaysAllMistakes(t *testing.T) {
	t.Parallel()
	err := Config{Replay: "replay"}.Validate()
	for _, want := range []string{"MILLRACE_MAX_UPLOAD", "MILLRACE_IDLE_TIMEOUT", "MILLRACE_REPLAY"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, k := range []string{"a/b", "a/../b", "/a", "a//b", "a/b/", "..", "a/\x00", "a/\xff", `a/..\b`, "a/.", "../a/b"} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkKey(key) != nil {
			return
		}
		// What is taken stays below any folder, as a path and as a URL.
		if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || len(key) > notification.MaxKey ||
			path.Join("/root", key) != "/root/"+key || !strings.Contains(key, "/") {
			t.Errorf("%q is taken", key)
		}
	})
}
