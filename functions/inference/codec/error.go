package codec

import (
	"errors"
	"fmt"
	"net/http"
)

// StatusClientClosed is nginx's status of a request whose client did not wait
// for the answer.
const StatusClientClosed = 499

// Error is a request that is not answered as it was meant to be, in words for
// the person or the program that sent it.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Text is what is wrong, Hint what to do about it; Hint is "" if Text has that too.
	Text, Hint string
	// Missing is the feature that the request lacks, if that is what is wrong.
	Missing string
}

// Error returns the text and the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Text
	}
	return e.Text + "; " + e.Hint
}

// Temporary reports whether the same request may succeed a little later.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

// Errorf returns an Error with a status and a text.
func Errorf(status int, format string, args ...any) error {
	return &Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Invalid returns an Error of a request that cannot be answered as it is: 400.
func Invalid(format string, args ...any) error {
	return Errorf(http.StatusBadRequest, format, args...)
}

// TooManyRows returns the Error of a request with more rows than the limit: 413.
func TooManyRows(limit int) error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge,
		Text:   fmt.Sprintf("the request has more than %d rows", limit), Hint: "send them in several requests",
	}
}

// TooLarge returns the Error of a body with more bytes than the limit: 413.
func TooLarge(limit int64) error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge,
		Text:   fmt.Sprintf("the body has more than %d bytes", limit), Hint: "send the rows in several requests",
	}
}

// StatusOf returns the HTTP status of an error: 500 unless it is an Error.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return http.StatusInternalServerError
}
