package inference

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// mistake is an answer other than the one that was asked for, in words for the
// person or the program that asked.
type mistake struct {
	code int
	text string
	// missing is the feature that the request lacks, if that is what is wrong.
	missing string
}

func (m *mistake) Error() string { return m.text }

// retried says whether the same request may be answered in a while.
func (m *mistake) retried() bool {
	return m.code == http.StatusTooManyRequests || m.code == http.StatusServiceUnavailable
}

func mistakef(code int, format string, args ...any) error {
	return &mistake{code: code, text: fmt.Sprintf(format, args...)}
}

// invalid is a request that cannot be answered as it is.
func invalid(format string, args ...any) error {
	return mistakef(http.StatusBadRequest, format, args...)
}

// codeOf is the HTTP status of an error.
func codeOf(err error) int {
	if m, ok := errors.AsType[*mistake](err); ok {
		return m.code
	}
	return http.StatusInternalServerError
}

// writeMistake answers with the protocols' error object.
func writeMistake(w http.ResponseWriter, err error) {
	code := codeOf(err)
	h := w.Header()
	h["Content-Type"] = jsonType
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	b, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings marshal always
	_, _ = w.Write(append(b, '\n'))                               // whoever does not listen any more misses it
}
