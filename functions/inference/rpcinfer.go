package inference

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ModelInfer is the one call that has to be fast, so that it is answered here
// and not by a grpc.Server: the body of the HTTP request is the message, which
// is read and written without the generated code.

// rpcPrefix is what comes before a message: whether it is compressed, and its
// length in four bytes.
const rpcPrefix = 5

const (
	headerTimeout  = "Grpc-Timeout"
	headerEncoding = "Grpc-Encoding"
	headerAccept   = "Grpc-Accept-Encoding"
)

var (
	rpcType     = []string{"application/grpc"}
	rpcTakes    = []string{"identity,gzip"}
	rpcStatusOK = []string{"0"}
)

// infer answers ModelInfer.
func (s *rpc) infer(w http.ResponseWriter, r *http.Request) {
	kind, ok := strings.CutPrefix(first(r.Header["Content-Type"]), "application/grpc")
	if ok = ok && (kind == "" || kind == "+proto" || kind[0] == ';'); !ok || r.ProtoMajor != 2 {
		s.ServeHTTP(w, r) // it knows what to say
		return
	}
	h := w.Header()
	h["Content-Type"], h["Date"] = rpcType, nil
	ctx, cancel, err := withTimeout(r.Context(), first(r.Header[headerTimeout]))
	if err == nil {
		err = s.f.answerHTTP(ctx, w, r)
		cancel()
	}
	if err != nil {
		writeStatus(h, err)
		w.WriteHeader(http.StatusOK)
	}
}

// answerHTTP answers a call whose message is an HTTP request's body. An error
// is left to be written.
func (f *F) answerHTTP(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	q := f.take()
	defer f.put(q)
	err := q.read(w, r, f.cfg.MaxBodyBytes, f.cfg.ReadTimeout)
	if err == nil {
		err = q.unpack(first(r.Header[headerEncoding]), f.cfg.MaxBodyBytes)
	}
	if err != nil {
		f.meters.refused("", codeOf(err))
		return err
	}
	return f.answerRPC(ctx, q, callOf(r, "", ""), func() {
		h := w.Header()
		h[headerAccept], h[trailerStatus] = rpcTakes, rpcStatusOK
		_, _ = w.Write(q.out) // a client that has gone was answered all the same
	})
}

// answerRPC answers the message in the request's body, and writes down what
// came of it, as answer does for JSON. What the message says of c goes first.
func (f *F) answerRPC(ctx context.Context, q *request, c call, write func()) (err error) {
	f.meters.inFlight.Inc()
	defer f.meters.inFlight.Dec()
	defer func() {
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = errDeadline
		}
	}()
	q.rpc = true
	if err := q.message.read(q.body[q.header:]); err != nil {
		f.meters.refused("", codeOf(err))
		return err
	}
	q.message.complete(&c)
	s, err := f.routing.Load().model(c.model)
	if err != nil {
		f.meters.refused("", codeOf(err))
		return err
	}
	if err := f.gate.enter(ctx); err != nil {
		f.meters.refused(s.name, codeOf(err))
		return err
	}
	began := time.Now()
	s, sh, err := f.work(ctx, s, c, q)
	v := sh.version
	if v == nil {
		f.meters.refused(s.name, codeOf(err))
		return err
	}
	defer v.release()
	a := outcome{version: v, route: sh.route, at: began, code: http.StatusOK}
	if err != nil {
		f.failed(ctx, s, sh, q, a, err)
		return err
	}
	writing := time.Now()
	write()
	done := time.Now()
	s.meters.write.Observe(done.Sub(writing).Seconds())
	f.answered(s, q, a, done)
	return nil
}

// complete adds what the message says beside the rows to what the headers say.
func (m *message) complete(c *call) {
	c.model = string(m.model)
	if len(m.version) > 0 {
		c.version = string(m.version)
	}
	if len(m.id) > 0 {
		c.id = string(m.id)
	}
}

// unpack finds the one message in the body, which begins at header then.
func (q *request) unpack(encoding string, limit int64) error {
	if len(q.body) < rpcPrefix {
		return invalid("the request has no message")
	}
	packed, size := q.body[0], int64(binary.BigEndian.Uint32(q.body[1:]))
	if left := int64(len(q.body) - rpcPrefix); left != size {
		return invalid("the message has %d bytes, and %d were to come; a call has one message", left, size)
	}
	q.header = rpcPrefix
	if packed == 0 {
		return nil
	}
	if encoding != "gzip" {
		return mistakef(http.StatusUnsupportedMediaType, "the message is compressed as %q; send gzip, or do not compress", encoding)
	}
	plain, err := gunzip(q.body[rpcPrefix:], limit)
	if err != nil {
		return err
	}
	q.body, q.header = plain, 0
	return nil
}

func gunzip(packed []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(strings.NewReader(view(packed)))
	if err != nil {
		return nil, invalid("the message is not compressed as it says: %v", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, invalid("the message is not compressed as it says: %v", err)
	case int64(len(plain)) > limit:
		return nil, tooLarge(limit)
	}
	return plain, nil
}

// rpcUnits are the units of a timeout.
var rpcUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// withTimeout bounds ctx by how long the client waits, if it says so.
func withTimeout(ctx context.Context, text string) (context.Context, context.CancelFunc, error) {
	if text == "" {
		return ctx, func() {}, nil
	}
	unit := rpcUnits[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil || unit == 0 || len(text) > 9 {
		return nil, nil, invalid("%s is %q; it is a number of at most 8 digits and one of H M S m u n", headerTimeout, text)
	}
	left := time.Duration(n) * unit
	if left > 365*24*time.Hour || left < 0 {
		return ctx, func() {}, nil
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	return bounded, cancel, nil
}

var errDeadline error = &mistake{code: http.StatusGatewayTimeout, text: "the call's deadline has passed"}
