package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"millrace.dev/events"
)

// FuzzReadJSON feeds anything as the body of a request: it is refused
// for good, or it says the same when it is written and read again.
func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{
		``, ` `, `{}`, `null`, `[]`, `{"by":"a","reason":"b","params":{"depth":3,"rate":0.1}}`, `{"By":"a"}`, `{"unknown":1}`, `{"params":{"a":1e400}}`, `{} {}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		read := func(body string) (d events.TrainingRequested, err error) {
			err = readJSON(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), &d)
			return d, err
		}
		d, err := read(body)
		if err != nil {
			if !poison(err) {
				t.Errorf("%q is to be sent again: %v", body, err)
			}
			return
		}
		if len(d.Params) == 0 {
			d.Params = nil // empty parameters mean no parameters, and are not written
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", body, err)
		}
		if again, err := read(string(b)); err != nil || d.Validate() == nil && !reflect.DeepEqual(again, d) {
			t.Errorf("%q is read as %+v, and that as %+v, %v", body, d, again, err)
		}
	})
}
