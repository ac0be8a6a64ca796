package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace.dev/deploy/millrace/client"
	"millrace.dev/events"
)

// serve answers with h until the test ends.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func line(sequence int) string {
	b, _ := json.Marshal(events.Envelope{Header: events.Header{
		ID: "e" + strconv.Itoa(sequence), Source: "/x", Type: "t", Attributes: map[string]string{"sequence": strconv.Itoa(sequence)},
	}})
	return string(b) + "\n"
}

// A follower continues where a broken connection ended, and sees each event once.
func TestFollowReconnects(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		from, _ := strconv.Atoi(q.Get("from"))
		if q.Get("follow") != "true" || q.Get("pipeline") != "flights" || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "not what is asked", http.StatusBadRequest)
			return
		}
		switch calls.Add(1) {
		case 2: // The server restarts.
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		case 1, 3:
			fmt.Fprint(w, line(from)+line(from+1))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, line(from))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	var got []uint64
	for e, err := range c.Follow(t.Context(), client.Query{Pipeline: "flights", From: 7}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Sequence); len(got) == 5 {
			break
		}
	}
	if fmt.Sprint(got) != "[7 8 9 10 11]" {
		t.Errorf("got %v", got)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
	defer cancel()
	for _, err := range c.Follow(ctx, client.Query{}) {
		if !errors.Is(err, cause) {
			t.Errorf("ended by %v", err)
		}
	}
}

func TestFollowTakesANo(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error": "there is no pipeline", "hint": "there are: a, b"}`)
	})
	for _, err := range c.Follow(t.Context(), client.Query{}) {
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Text != "there is no pipeline" || e.Hint != "there are: a, b" || e.Status != http.StatusNotFound {
			t.Errorf("%v", err)
		}
	}
}

func TestMistakesInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"a proxy's page", http.StatusBadGateway, "<html>502</html>", "the server answered 502 Bad Gateway"},
		{"nothing", http.StatusInternalServerError, "", "the server answered 500 Internal Server Error"},
		{"text", http.StatusBadRequest, "at is no time\n", "at is no time"},
		{"a token", http.StatusUnauthorized, `{"error": "this needs the token"}`, "this needs the token (set MILLRACE_TOKEN, or --token)"},
		{"no JSON", http.StatusOK, "hello", "is not one of this version of Millrace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			if err := cl.Get(t.Context(), new(any), nil, "api/status"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut || r.RequestURI != "/uploads/flights/a%20b%23%3F%25.csv" || r.ContentLength != int64(len(body)) {
			http.Error(w, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.ContentLength, " ", err), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"uploads": [{"pipeline": "flights", "event": "e1", "key": "k", "size": %d}]}`, len(body))
	})
	file := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"", "some bytes"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var told int64
		out, err := c.Upload(t.Context(), "flights/a b#?%.csv", file, func(sent, _ int64) { told = sent })
		if err != nil || len(out.Uploads) != 1 || out.Uploads[0].Size != int64(len(text)) || told != int64(len(text)) {
			t.Errorf("%+v, told %d, %v", out, told, err)
		}
	}
	if _, err := c.Upload(t.Context(), "k", filepath.Join(file, "none"), nil); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Error(err)
	}
	if _, err := c.Upload(t.Context(), "k", t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
}

func TestPredict(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/v1/models/flights:predict" || string(body) != `{"instances":[{"x":1},{"x":2},{"x":3}]}` || r.Header.Get("X-Millrace-Version") != "3" || r.Header.Get("X-Request-Id") != "id" {
			http.Error(w, r.URL.Path+" "+string(body), http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Millrace-Version", "3")
		w.Header().Set("X-Millrace-Route", "pinned")
		w.Header().Set("X-Request-Id", "id")
		fmt.Fprint(w, `{"predictions": [1.5, {"label": "late", "probabilities": [null, 0.9]}, null]}`)
	})
	rows := []json.RawMessage{json.RawMessage(`{"x":1}`), json.RawMessage(`{"x":2}`), json.RawMessage(`{"x":3}`)}
	got, err := c.Predict(t.Context(), "flights", client.Ask{Version: 3, ID: "id"}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != 3 || got.Route != "pinned" || got.Predictions[0].Value != "1.5" || got.Predictions[1].Label != "late" || got.Predictions[1].Probabilities[0] != nil || *got.Predictions[1].Probabilities[1] != 0.9 {
		t.Errorf("%+v", got)
	}
	if p := got.Predictions; !p[0].Scalar || p[1].Scalar || !p[2].Scalar || p[2].Value != "" {
		t.Errorf("%+v", p)
	}
	if _, err := c.Predict(t.Context(), "flights", client.Ask{Version: 3, ID: "id"}, rows[:1]); err == nil {
		t.Error("another number of predictions than rows is taken")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{"localhost:8080": "http://localhost:8080", "https://m.example.com/ml/": "https://m.example.com/ml"} {
		c, err := client.New(server, "")
		if err != nil || c.Server() != want {
			t.Errorf("%s: %v", server, err)
		}
	}
	for _, bad := range []string{"", "http://", "ftp://x", "://"} {
		if _, err := client.New(bad, ""); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
