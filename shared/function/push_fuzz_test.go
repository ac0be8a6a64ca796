package function_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace.dev/events"
	"millrace.dev/shared/cloudevent/cloudeventtest"
	"millrace.dev/shared/function"
)

// The push receiver accepts what every receiver accepts.
func TestReadHTTP(t *testing.T) {
	t.Parallel()
	cloudeventtest.Run(t, func(_ *testing.T, h http.Header, body []byte) (events.Envelope, error) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header = h
		return function.ReadHTTP(httptest.NewRecorder(), r)
	}, "binary", "structured")
}

// FuzzReadHTTP feeds anything as a CloudEvent over HTTP, in either mode: it is
// an error, or an event that says what it has to.
func FuzzReadHTTP(f *testing.F) {
	f.Add("application/cloudevents+json", "", "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`)
	f.Add("application/cloudevents+json; charset=utf-8", "", "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"e30=","pipeline":"flights"}`)
	f.Add("application/json", "1.0", "a%20b", `{}`)
	f.Add("", "0.3", "%F0%9F%98%80", ``)
	f.Add("application/cloudevents-batch+json", "", "", `[{}]`)
	f.Fuzz(func(t *testing.T, kind, version, subject, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header["Content-Type"] = []string{kind}
		if version != "" {
			for name, v := range map[string]string{"Specversion": version, "Id": "1", "Source": "/s", "Type": "t", "Subject": subject, "Time": "2026-03-01T02:00:00Z", "Pipeline": subject} {
				r.Header["Ce-"+name] = []string{v}
			}
		}
		e, err := function.ReadHTTP(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		for _, v := range []string{e.ID, e.Source, e.Type} {
			if v == "" || !utf8.ValidString(v) {
				t.Errorf("it is read as %+v", e.Header)
			}
		}
		for _, v := range []string{e.Subject, e.Pipeline} {
			if !utf8.ValidString(v) {
				t.Errorf("it is read as %+v", e.Header)
			}
		}
	})
}
