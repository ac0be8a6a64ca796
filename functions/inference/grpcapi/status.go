package grpcapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"millrace.dev/functions/inference/codec"
)

// codeOf has the codes of HTTP statuses.
var codeOf = map[int]codes.Code{
	http.StatusBadRequest: codes.InvalidArgument, http.StatusUnprocessableEntity: codes.InvalidArgument, http.StatusNotFound: codes.NotFound, http.StatusConflict: codes.FailedPrecondition,
	http.StatusRequestEntityTooLarge: codes.ResourceExhausted, http.StatusTooManyRequests: codes.ResourceExhausted,
	http.StatusUnsupportedMediaType: codes.Unimplemented, http.StatusServiceUnavailable: codes.Unavailable,
	http.StatusRequestTimeout: codes.DeadlineExceeded, http.StatusGatewayTimeout: codes.DeadlineExceeded, codec.StatusClientClosed: codes.Canceled,
}

// retryDelay is after how long a refused client should try again.
const retryDelay = time.Second

// statusOf returns the gRPC status of an error. What may be tried again carries
// a RetryInfo; a request that is too large does not.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*codec.Error](err)
	if !ok {
		return status.Error(codes.Internal, err.Error())
	}
	code, ok := codeOf[e.Status]
	if !ok {
		return status.Error(codes.Internal, e.Error())
	}
	st := status.New(code, e.Error())
	if e.Temporary() {
		if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}); err == nil {
			st = with
		}
	}
	return st.Err()
}

// The trailers of a call.
const (
	trailerStatus   = http.TrailerPrefix + "Grpc-Status"
	trailerMessage  = http.TrailerPrefix + "Grpc-Message"
	trailerDetails  = http.TrailerPrefix + "Grpc-Status-Details-Bin"
	trailerPushback = http.TrailerPrefix + "Grpc-Retry-Pushback-Ms"
)

// writeStatus writes the status in the trailers. The pushback is for clients
// that retry by themselves: when, or not at all.
func writeStatus(h http.Header, err error) {
	st := status.Convert(statusOf(err))
	h[trailerStatus] = []string{strconv.Itoa(int(st.Code()))}
	h[trailerMessage] = []string{percentEncoded(st.Message())}
	if len(st.Proto().GetDetails()) > 0 {
		if details, err := proto.Marshal(st.Proto()); err == nil {
			h[trailerDetails] = []string{base64.RawStdEncoding.EncodeToString(details)}
		}
	}
	if st.Code() == codes.ResourceExhausted {
		h[trailerPushback] = []string{pushback(st)}
	}
}

// percentEncoded returns a text as gRPC encodes it in a header.
func percentEncoded(text string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		if ch := text[i]; ch >= ' ' && ch <= '~' && ch != '%' {
			b = append(b, ch)
		} else {
			b = append(b, '%', digits[ch>>4], digits[ch&15])
		}
	}
	return string(b)
}
