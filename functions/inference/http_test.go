package inference

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMethods asks by methods that a path does not take: 405, with those it takes.
func TestMethods(t *testing.T) {
	w, _ := servedFlights(t)
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/v2/models/flights/infer", "POST"},
		{"PUT", "/v2/models/flights/versions/1/infer", "POST"},
		{"POST", "/v2/models/flights/ready", "GET, HEAD"},
		{"POST", "/v2/health/live", "GET, HEAD"},
		{"DELETE", "/v2/models", "GET, HEAD"},
		{"GET", "/v2/repository/index", "POST"},
		{"GET", "/v1/models/flights:predict", "POST"},
		{"DELETE", "/v1/models/flights:predict", "POST"},
		{"POST", "/v1/models/flights", "GET, HEAD"},
		{"PATCH", "/v1/models/flights", "GET, HEAD"},
	} {
		if a := w.ask(c.method, c.path, []byte("{}")); a.Code != 405 || a.Header.Get("Allow") != c.allow || !strings.Contains(a.Error, "does not take "+c.method) {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, a.Code, a.Header.Get("Allow"), a.Raw)
		}
	}
	for _, path := range []string{"GET /v2/model", "POST /v2/models/flights/predict", "GET /v1/models/flights:explain", "GET /v1/models/flights/more"} {
		method, path, _ := strings.Cut(path, " ")
		if a := w.ask(method, path, nil); a.Code != 404 {
			t.Errorf("%s %s: %d %s", method, path, a.Code, a.Raw)
		}
	}
	if a := w.ask("GET", "/", nil); a.Code != 200 || !strings.Contains(a.Raw, `"name":"millrace"`) {
		t.Errorf("/: %d %s", a.Code, a.Raw)
	}
}

// TestContentEncodings sends bodies compressed as RFC 9110 allows to say it.
func TestContentEncodings(t *testing.T) {
	w, g := servedFlights(t)
	body := g.inferBody(t, 0, 3, nil)
	packed := func(in []byte, to func(io.Writer) io.WriteCloser) []byte {
		var out bytes.Buffer
		z := to(&out)
		_, err := z.Write(in)
		must(t, err)
		must(t, z.Close())
		return out.Bytes()
	}
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zl := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	zipped := packed(body, gz)
	for coding, sent := range map[string][]byte{
		"GZIP": zipped, "x-gzip": zipped, "X-GZip": zipped, " gzip ": zipped, "identity, gzip": zipped, "Deflate": packed(body, zl), "Identity": body,
		"gzip, deflate": packed(zipped, zl), "deflate,gzip": packed(packed(body, zl), gz),
	} {
		if a := w.ask("POST", "/v2/models/flights/infer", sent, "Content-Encoding", coding); a.Code != 200 || len(a.Outputs) == 0 || len(a.Outputs[0].Data) != 3 {
			t.Errorf("%q: %d %s", coding, a.Code, a.Raw)
		}
	}
	index := packed([]byte("\xef\xbb\xbf{}"), gz)
	if a, _ := w.try("POST", "/v2/repository/index", index, "Content-Encoding", "x-gzip"); a.Code != 200 { // the answer is a list
		t.Errorf("the index: %d %s", a.Code, a.Raw)
	}
	if a := w.ask("POST", "/v2/repository/index", packed(bytes.Repeat([]byte(" "), 1<<20), gz), "Content-Encoding", "gzip"); a.Code != 413 {
		t.Errorf("a large body: %d %s", a.Code, a.Raw)
	}
	for coding, want := range map[string]string{"br": `"br" is not taken`, "gzip, zstd": `"zstd" is not taken`} {
		a := w.ask("POST", "/v2/models/flights/infer", zipped, "Content-Encoding", coding)
		if a.Code != 415 || !strings.Contains(a.Error, want) || a.Header.Get("Accept-Encoding") != "gzip, deflate" {
			t.Errorf("%q: %d %s", coding, a.Code, a.Raw)
		}
	}
	for coding, sent := range map[string][]byte{"gzip": zipped[:len(zipped)-9], "deflate": body, strings.Repeat("gzip,", 5): zipped} {
		if a := w.ask("POST", "/v2/models/flights/infer", sent, "Content-Encoding", coding); a.Code != 400 {
			t.Errorf("%q: %d %s", coding, a.Code, a.Raw)
		}
	}
}

// TestCompressedAnswers asks for a large answer as clients do that take it
// compressed, and as those that do not.
func TestCompressedAnswers(t *testing.T) {
	w, g := servedFlights(t)
	rows := make([]any, 1000)
	for i := range rows {
		rows[i] = g.instance(i % g.rows())
	}
	body, err := json.Marshal(map[string]any{"instances": rows})
	must(t, err)
	small, err := json.Marshal(map[string]any{"instances": rows[:3]})
	must(t, err)
	for _, c := range []struct {
		body         []byte
		accept, want string
	}{
		{body, "gzip", "gzip"}, {body, "gzip;q=0.5, identity;q=0.1", "gzip"}, {body, "*", "zstd"}, {body, "zstd", "zstd"},
		{body, "gzip;q=0", ""}, {body, "identity", ""}, {body, "", ""}, {body, "br", ""}, {small, "gzip", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.web.URL+"/v1/models/flights:predict", bytes.NewReader(c.body))
		must(t, err)
		req.Header.Set("Accept-Encoding", c.accept) // so that the client leaves it to us
		resp, err := w.web.Client().Do(req)
		must(t, err)
		raw, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		got := resp.Header.Get("Content-Encoding")
		if resp.StatusCode != 200 || got != c.want {
			t.Errorf("%q: %d, %q is sent, want %q", c.accept, resp.StatusCode, got, c.want)
		}
		if got == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(raw))
			must(t, err)
			plain, err := io.ReadAll(z)
			must(t, err)
			var answer struct{ Predictions []any }
			must(t, json.Unmarshal(plain, &answer))
			if len(answer.Predictions) != 1000 || len(raw) >= len(plain) {
				t.Errorf("%d predictions in %d bytes, %d compressed", len(answer.Predictions), len(plain), len(raw))
			}
		}
	}
}

// TestCharsets sends bodies of JSON in UTF-8, said and marked in several ways, and
// in other encodings.
func TestCharsets(t *testing.T) {
	w, g := servedFlights(t)
	body := g.inferBody(t, 0, 1, nil)
	marked := append([]byte("\xef\xbb\xbf"), body...)
	for _, c := range []struct {
		contentType string
		body        []byte
		code        int
		want        string
	}{
		{"application/json; charset=utf-8", body, 200, ""},
		{`application/json;charset="UTF-8"`, body, 200, ""},
		{"text/plain; charset=us-ascii", body, 200, ""},
		{"", body, 200, ""},
		{"application/json", marked, 200, ""},
		{"application/json; charset=utf-16", body, 415, `the charset "utf-16" is not taken; JSON is sent as UTF-8`},
		{"application/json; charset=ISO-8859-1", body, 415, `the charset "ISO-8859-1" is not taken`},
		{"application/json", []byte("\xff\xfe{\x00}\x00"), 400, "the byte order mark of UTF-16"},
	} {
		if a := w.ask("POST", "/v2/models/flights/infer", c.body, "Content-Type", c.contentType); a.Code != c.code || !strings.Contains(a.Error, c.want) {
			t.Errorf("%q: %d %s", c.contentType, a.Code, a.Raw)
		}
	}
}
