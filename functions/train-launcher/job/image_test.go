package job

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace.dev/functions/train-launcher/runspec"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/":
		case "/v2/team/trainer/manifests/1.4":
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			w.Header().Set("Content-Length", "700")
			w.Header().Set("Docker-Content-Digest", digest)
		case "/v2/team/trainer/manifests/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer registry.Close()
	at := strings.TrimPrefix(registry.URL, "http://") + "/team/trainer"
	for name, c := range map[string]struct {
		image, want string
		refused     bool
	}{
		"a tag":              {at + ":1.4", at + "@" + digest, false},
		"a digest":           {"nowhere.example.com/team/x@" + digest, "nowhere.example.com/team/x@" + digest, false},
		"a tag of none":      {at + ":1.5", "", true},
		"no name":            {"Not An Image", "", true},
		"a registry in need": {at + ":broken", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolve(t.Context(), c.image)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Fatalf("%s (%v), want %s", got, err, c.want)
			}
			if _, refused := errors.AsType[*runspec.Refused](err); refused != c.refused {
				t.Errorf("refused %t: %v", refused, err)
			}
		})
	}
}
