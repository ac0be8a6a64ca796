package codec

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
)

// FramePrefix is the size of what comes before a gRPC message: whether it is
// compressed, and its length in four bytes.
const FramePrefix = 5

// Unframe finds the one message in Body, which is the body of a gRPC call over
// HTTP, and decompresses it if it is compressed. At most limit bytes are taken.
func (q *Request) Unframe(encoding string, limit int64) error {
	if len(q.Body) < FramePrefix {
		return Invalid("the request has no message")
	}
	packed, size := q.Body[0], int64(binary.BigEndian.Uint32(q.Body[1:]))
	if left := int64(len(q.Body) - FramePrefix); left != size {
		return Invalid("the message has %d bytes, and %d were to come; a call has one message", left, size)
	}
	q.header = FramePrefix
	if packed == 0 {
		return nil
	}
	if encoding != "gzip" {
		return Errorf(http.StatusUnsupportedMediaType, "the message is compressed as %q; send gzip, or do not compress", encoding)
	}
	plain, err := gunzip(q.Body[FramePrefix:], limit)
	if err != nil {
		return err
	}
	q.Body, q.header = plain, 0
	return nil
}

func gunzip(packed []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(strings.NewReader(view(packed)))
	if err != nil {
		return nil, Invalid("the message is not compressed as it says: %v", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, Invalid("the message is not compressed as it says: %v", err)
	case int64(len(plain)) > limit:
		return nil, TooLarge(limit)
	}
	return plain, nil
}

// Answered returns the message of a gRPC answer, without its frame.
func (q *Request) Answered() []byte { return q.Out[FramePrefix:] }
