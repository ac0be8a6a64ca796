package grpcapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace.dev/functions/inference/codec"
	"millrace.dev/shared/access"
)

// ModelInfer is the one call that has to be fast, so that it is answered here
// and not by a grpc.Server: the body of the HTTP request is the message, which
// is read and written without the generated code.

const (
	headerTimeout  = "Grpc-Timeout"
	headerEncoding = "Grpc-Encoding"
	headerAccept   = "Grpc-Accept-Encoding"
)

var (
	grpcType          = []string{"application/grpc"}
	acceptedEncodings = []string{"identity,gzip"}
	statusOK          = []string{"0"}
)

// infer answers ModelInfer.
func (s *Service) infer(w http.ResponseWriter, r *http.Request) {
	kind, ok := strings.CutPrefix(first(r.Header["Content-Type"]), "application/grpc")
	if ok = ok && (kind == "" || kind == "+proto" || kind[0] == ';'); !ok || r.ProtoMajor != 2 {
		s.ServeHTTP(w, r) // it writes the error
		return
	}
	h := w.Header()
	h["Content-Type"], h["Date"] = grpcType, nil
	ctx, cancel, err := withTimeout(r.Context(), first(r.Header[headerTimeout]))
	if err == nil {
		err = s.answer(ctx, w, r)
		cancel()
	}
	if err != nil {
		writeStatus(h, err)
		w.WriteHeader(http.StatusOK)
	}
}

// answer answers a call whose message is an HTTP request's body. The caller
// writes the error.
func (s *Service) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	q := s.backend.Take()
	defer s.backend.Put(q)
	err := s.backend.Receive(w, r, q)
	if err == nil {
		err = q.Unframe(first(r.Header[headerEncoding]), s.cfg.MaxBodyBytes)
	}
	if err != nil {
		s.backend.Refused(err)
		return err
	}
	c := codec.Call{Version: first(r.Header[headerVersion]), Key: first(r.Header[headerKey]), ID: first(r.Header[headerRequestID])}
	a, err := s.predict(ctx, q, c)
	if err != nil {
		return err
	}
	sending := time.Now()
	h := w.Header()
	h[headerAccept], h[trailerStatus] = acceptedEncodings, statusOK
	_, _ = w.Write(q.Out) // a client that has gone was answered all the same
	a.Sent(sending)
	return nil
}

// predict answers the message in q, however it arrived. The message's
// parameters take precedence over c.
func (s *Service) predict(ctx context.Context, q *codec.Request, c codec.Call) (a Answer, err error) {
	c.Protocol = codec.GRPC
	err = q.ReadMessage()
	if err != nil {
		s.backend.Refused(err)
	} else {
		q.Message.Complete(&c)
		if err := allowed(ctx, access.Predict, c.Model); err != nil {
			return nil, err
		}
		a, err = s.backend.Answer(ctx, q, c)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, errDeadline
	}
	return a, err
}

// first returns the first value of a header, "" if it has no values.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// timeoutUnits are the units of a timeout.
var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// withTimeout bounds ctx by the client's timeout, if it sends one.
func withTimeout(ctx context.Context, text string) (context.Context, context.CancelFunc, error) {
	if text == "" {
		return ctx, func() {}, nil
	}
	unit := timeoutUnits[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil || unit == 0 || len(text) > 9 {
		return nil, nil, codec.Invalid("%s is %q; write at most 8 digits and a unit: H, M, S, m, u or n", headerTimeout, text)
	}
	left := time.Duration(n) * unit
	if left > 365*24*time.Hour || left < 0 {
		return ctx, func() {}, nil
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	return bounded, cancel, nil
}

var errDeadline error = &codec.Error{Status: http.StatusGatewayTimeout, Text: "the call's deadline has passed"}
