// Package httperror is the error that an HTTP API of Millrace answers with: a
// status, a sentence that says what was wrong, and a hint that says what to do.
package httperror

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Error is an answer that is not what the client asked for.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Text says what was wrong.
	Text string
	// Hint says what to do about it; empty if there is nothing to say.
	Hint string
}

// New returns an error without a hint.
func New(status int, format string, args ...any) *Error {
	return &Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Try sets the hint, and returns e.
func (e *Error) Try(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Error returns the text, with the hint in parentheses.
func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Text + " (" + e.Hint + ")"
	}
	return e.Text
}

// Unauthorized is the answer to a request without a token.
func Unauthorized() *Error {
	return New(http.StatusUnauthorized, "this needs a token").
		Try("send the header Authorization: Bearer <token>, or set MILLRACE_TOKEN for the command")
}

// WriteJSON answers with {"error": ..., "hint": ...}.
func (e *Error) WriteJSON(w http.ResponseWriter) {
	e.head(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false) // people read it in a terminal
	_ = out.Encode(struct {  // a client that has gone away needs no answer
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{e.Text, e.Hint})
}

// WriteText answers with one line of plain text.
func (e *Error) WriteText(w http.ResponseWriter) {
	e.head(w)
	http.Error(w, e.Error(), e.Status)
}

// head sets the headers that HTTP demands of some statuses.
func (e *Error) head(w http.ResponseWriter) {
	switch e.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="millrace"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
}
