package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"millrace.dev/functions/gateway/api"
)

// A request for a replay reaches the replay's own program, with its token, and
// the answer comes back, an error too.
func TestReplayIsForwarded(t *testing.T) {
	t.Parallel()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request api.ReplayRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.Header.Get("Authorization") != "Bearer "+secret {
			http.Error(w, "not what was sent", http.StatusTeapot)
			return
		}
		if request.Function != "promote" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"summary": r.URL.Path})
	}))
	cfg := settings()
	cfg.Replay = behind.URL
	r := newGuarded(t, cfg, guardOf(t))
	const path, token = "/api/pipelines/flights/replay", "Bearer " + secret
	r.post(path, `{"function":"promote"}`, "Authorization", token).is(200, path)
	r.post(path, `{"function":"ingest"}`, "Authorization", token).is(400, path)
	r.post(path, `{"function":"promote"}`).is(401)
	behind.Close()
	r.post(path, `{"function":"promote"}`, "Authorization", token).is(502, "does not answer", "deploy/replay")
	newEnv(t, settings()).post(path, `{}`).is(404, "MILLRACE_REPLAY")
}
