package gateway

import (
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

	"millrace.dev/shared/function"
)

func TestPanicIsAnAnswer(t *testing.T) {
	f, err := New(Config{MaxUpload: 1, IdleTimeout: time.Second}, function.Deps{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h := f.door(func(http.ResponseWriter, *http.Request) error { panic("oh") }, writeProblem)
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "mistake in Millrace") || testutil.ToFloat64(f.metrics.panics) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConfigSaysAllMistakes(t *testing.T) {
	err := Config{Token: "x", TokenFile: "y"}.Validate()
	for _, want := range []string{"MILLRACE_MAX_UPLOAD", "MILLRACE_IDLE_TIMEOUT", "MILLRACE_TOKEN_FILE"} {
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
		if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || len(key) > maxKey ||
			path.Join("/root", key) != "/root/"+key || !strings.Contains(key, "/") {
			t.Errorf("%q is taken", key)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"flights", "iris", "wine"}
	for name, want := range map[string]string{"flight": "flights", "filghts": "flights", "irs": "iris", "weather": "", "": "", "xyz": ""} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
