package command

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"millrace.dev/deploy/millrace/client"
)

// What a server says of the model and of the route, and whether version 2 of it
// is waited for any longer.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status        int
		model         string
		champion      int
		waitsNoLonger bool
	}{
		"it answers":                  {200, `{"properties": {"version": "2"}}`, 2, true},
		"the old one answers":         {200, `{"properties": {"version": "1"}}`, 2, false},
		"a newer one is the champion": {200, `{"properties": {"version": "1"}}`, 3, true},
		"none is loaded":              {503, `{"error": "flights has no promoted version yet"}`, 2, false},
		"the model is not known yet":  {404, `{"error": "there is no model \"flights\"; there are no models yet"}`, 2, false},
		"no predictions here":         {404, `{"error": "there is nothing at /v2/models/flights"}`, 2, true},
		"they may not be asked for":   {403, `{"error": "the token may not predict"}`, 2, true},
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v2/models/flights", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.model)
		})
		mux.HandleFunc("GET /api/routes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `[{"pipeline": "flights", "champion": %d}]`, c.champion)
		})
		server := httptest.NewServer(mux)
		cl, err := client.New(server.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := answers(t.Context(), cl, "flights", 2); got != c.waitsNoLonger {
			t.Errorf("%s: %t", name, got)
		}
		server.Close()
	}
}
