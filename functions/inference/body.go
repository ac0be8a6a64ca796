package inference

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"millrace.dev/functions/inference/codec"
)

// compressedFrom is the size from which an answer is compressed for a client that
// takes it. Go's and Python's clients always do: compressing a smaller answer
// costs more time than it saves.
const compressedFrom = 16 << 10

// compressed wraps a handler so that its answer is compressed as the request's
// Accept-Encoding has it, by gzip or zstd.
var compressed = func() func(http.Handler) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(compressedFrom), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.AcceptWildcards(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return wrap
}()

// readBody reads the body of an HTTP request into q.
func readBody(w http.ResponseWriter, r *http.Request, q *codec.Request, limit int64, within time.Duration) error {
	if r.ContentLength > limit {
		return codec.TooLarge(limit)
	}
	if err := checkCharset(r); err != nil {
		return err
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(within)) // not every writer has one
	body, err := decompressed(w, r)
	if err != nil {
		return err
	}
	want := 4096
	if r.ContentLength >= 0 && body == r.Body {
		want = int(r.ContentLength) + 1 // so that the end is seen
	}
	if cap(q.Body) < want {
		q.Body = make([]byte, 0, want)
	}
	for {
		if len(q.Body) == cap(q.Body) {
			q.Body = append(q.Body, 0)[:len(q.Body)]
		}
		n, err := body.Read(q.Body[len(q.Body):cap(q.Body)])
		q.Body = q.Body[:len(q.Body)+n]
		if int64(len(q.Body)) > limit {
			return codec.TooLarge(limit)
		}
		if errors.Is(err, io.EOF) {
			// A deadline that is left would end the request while it is worked
			// on; after an error it bounds what net/http still reads.
			_ = deadline.SetReadDeadline(time.Time{})
			err = withoutMark(r, q)
			q.Loaded()
			return err
		}
		if err != nil && body != r.Body && !errors.Is(err, os.ErrDeadlineExceeded) {
			return codec.Invalid("the body is not what its content encoding says, or it did not arrive completely: %v", err)
		}
		if err != nil {
			return codec.Errorf(http.StatusRequestTimeout, "the body did not arrive completely: %v", err)
		}
	}
}

// checkCharset refuses a body in another encoding than UTF-8: JSON has no other.
func checkCharset(r *http.Request) error {
	text := first(r.Header["Content-Type"])
	if !strings.Contains(text, ";") {
		return nil
	}
	_, parameters, err := mime.ParseMediaType(text)
	if charset := parameters["charset"]; err == nil && charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return codec.Errorf(http.StatusUnsupportedMediaType, "the charset %q is not taken; JSON is sent as UTF-8", charset)
	}
	return nil
}

// utf8Mark is the byte order mark of UTF-8.
const utf8Mark = "\xef\xbb\xbf"

// withoutMark removes a byte order mark from a body of JSON.
func withoutMark(r *http.Request, q *codec.Request) error {
	switch {
	case r.Header[codec.HeaderJSON] != nil:
	case bytes.HasPrefix(q.Body, []byte(utf8Mark)):
		q.Body = q.Body[:copy(q.Body, q.Body[len(utf8Mark):])]
	case bytes.HasPrefix(q.Body, []byte("\xff\xfe")), bytes.HasPrefix(q.Body, []byte("\xfe\xff")):
		return codec.Invalid("the body begins with the byte order mark of UTF-16; JSON is sent as UTF-8")
	}
	return nil
}

// maxCodings bounds how often a body may be compressed.
const maxCodings = 4

// decompressed returns the body as it was before the client compressed it. The
// codings are those of RFC 9110: in any case, in the order they were applied.
func decompressed(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	header := r.Header["Content-Encoding"]
	if header == nil {
		return r.Body, nil
	}
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(header, ","), ",") {
		if coding = strings.ToLower(strings.TrimSpace(coding)); coding != "" && coding != "identity" {
			codings = append(codings, coding)
		}
	}
	if len(codings) > maxCodings {
		return nil, codec.Invalid("the body has %d content encodings; at most %d are taken", len(codings), maxCodings)
	}
	var body io.Reader = r.Body
	for _, coding := range slices.Backward(codings) {
		var err error
		switch coding {
		case "gzip", "x-gzip":
			body, err = gzip.NewReader(body)
		case "deflate": // which means zlib's form of it
			body, err = zlib.NewReader(body)
		default:
			w.Header().Set("Accept-Encoding", "gzip, deflate")
			return nil, codec.Errorf(http.StatusUnsupportedMediaType, "the content encoding %q is not taken; send gzip, deflate or none", coding)
		}
		if err != nil {
			return nil, codec.Invalid("the body is not what its content encoding says: %v", err)
		}
	}
	return body, nil
}
