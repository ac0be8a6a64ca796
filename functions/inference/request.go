package inference

import (
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"millrace.dev/shared/onnx"
)

// request is what answering one request needs. It is used again, so that a
// warm request makes next to nothing. Its strings are views of body.
type request struct {
	body []byte
	// header is how much of body is JSON. Binary tensors follow, of which raw
	// has those that were not read yet. With bare there is no JSON: the body is
	// the values of the only input.
	header int
	raw    []byte
	bare   bool
	// rpc says that the request came by gRPC: message is what the body has
	// behind header.
	rpc     bool
	message message

	out []byte
	// outJSON is how much of out is JSON; 0 when all of it is.
	outJSON int
	// id is the client's, or one of ours: it is in the answer and in the log.
	id    []byte
	given bool // the id is the client's
	// parameters are those that are echoed, as "key":value,"key":value.
	parameters []byte
	// outputs are those that are asked for, in their order; none for all.
	outputs []asked
	// binary says that outputs come as binary tensors unless they say otherwise.
	binary bool

	// mirrored is a copy of the request that is to be asked again.
	mirrored *mirrored

	rows    int
	columns []column
	batch   onnx.Batch
	scores  onnx.Scores
	labels  []int // the place of each row's class
	next    int   // the column that is likely to come next
	idBytes [32]byte
	cursor  cursor
	tensor  tensor
}

const (
	maxID = 256
	// What a request has grown beyond this is not kept for the next one.
	keepBytes = 1 << 20
	keepRows  = 2048
)

// requests are those that wait to be used again.
func (f *F) take() *request {
	q := f.requests.Get().(*request)
	q.body, q.out, q.id, q.parameters, q.outputs = q.body[:0], q.out[:0], nil, q.parameters[:0], q.outputs[:0]
	q.given, q.rows, q.header, q.outJSON = false, 0, 0, 0
	q.raw, q.bare, q.binary, q.rpc = nil, false, false, false
	q.mirrored = nil
	return q
}

func (f *F) put(q *request) {
	if cap(q.body) <= keepBytes && cap(q.out) <= keepBytes && q.rows <= keepRows {
		f.requests.Put(q)
	}
}

// read reads the body.
func (q *request) read(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) error {
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(within)) // without one where there can be none
	body, err := inflated(r)
	if err != nil {
		return err
	}
	want := 4096
	if r.ContentLength >= 0 && body == r.Body {
		want = int(r.ContentLength) + 1 // so that the end is seen
	}
	if cap(q.body) < want {
		q.body = make([]byte, 0, want)
	}
	for {
		if len(q.body) == cap(q.body) {
			q.body = append(q.body, 0)[:len(q.body)]
		}
		n, err := body.Read(q.body[len(q.body):cap(q.body)])
		q.body = q.body[:len(q.body)+n]
		if int64(len(q.body)) > limit {
			return tooLarge(limit)
		}
		if err == io.EOF {
			// A deadline that is left would end the request while it is worked
			// on; after an error it bounds what net/http still reads.
			_ = deadline.SetReadDeadline(time.Time{})
			q.header = len(q.body)
			return nil
		}
		if err != nil {
			return mistakef(http.StatusRequestTimeout, "the body did not arrive whole: %v", err)
		}
	}
}

// inflated is the body as it was before the client compressed it.
func inflated(r *http.Request) (io.Reader, error) {
	var body io.Reader
	var err error
	switch coding := first(r.Header["Content-Encoding"]); coding {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		body, err = gzip.NewReader(r.Body)
	case "deflate": // which means zlib's form of it
		body, err = zlib.NewReader(r.Body)
	default:
		return nil, mistakef(http.StatusUnsupportedMediaType, "the content encoding %q is not taken; send gzip, deflate or none", coding)
	}
	if err != nil {
		return nil, invalid("the body is not what its content encoding says: %v", err)
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return mistakef(http.StatusRequestEntityTooLarge, "the body has more than %d bytes; send the rows in several requests", limit)
}

// begin goes to the beginning of the body.
func (q *request) begin() *cursor {
	q.cursor = cursor{b: q.json()}
	return &q.cursor
}

// json is the part of the body that is JSON.
func (q *request) json() []byte { return q.body[:q.header] }

// asked is an output that is asked for.
type asked struct {
	at     int // its place among the version's
	binary asBinary
}

// asBinary says how an output is to come.
type asBinary int8

const (
	asOthers asBinary = iota // as the request says for all
	inJSON
	inBinary
)

// parse reads the rows and settles the id.
func (q *request) parse(s *served, v *version, c call, maxRows int) (err error) {
	switch {
	case q.rpc:
		err = q.readRPC(s, v, maxRows)
	case q.bare:
		err = q.readBare(s, v, maxRows)
	case c.v1:
		err = q.readPredict(s, v, maxRows)
	default:
		err = q.readInfer(s, v, maxRows)
	}
	if err != nil {
		return err
	}
	return q.identify(c.id)
}

// expect prepares the columns for the features of a version.
func (q *request) expect(v *version) {
	features := v.contract.Features
	for len(q.columns) < len(features) {
		q.columns = append(q.columns, column{})
	}
	q.columns = q.columns[:len(features)]
	for i := range features {
		q.columns[i].reset(features[i])
	}
	q.next = 0
}

// column finds a feature's column, nil if the version has no such feature.
func (q *request) column(v *version, name []byte) *column {
	if q.next < len(q.columns) && q.columns[q.next].Name == view(name) {
		q.next++
		return &q.columns[q.next-1]
	}
	i, ok := v.index[view(name)]
	if !ok {
		return nil
	}
	q.next = i + 1
	return &q.columns[i]
}

// check makes sure that every feature came, with as many rows as the others
// and nothing missing that the model has to know, and makes the batch.
func (q *request) check(v *version, limit int) error {
	q.batch.Columns = q.batch.Columns[:0]
	q.rows = -1
	for i := range q.columns {
		c := &q.columns[i]
		if !c.given {
			return &mistake{code: http.StatusBadRequest, missing: c.Name,
				text: "column " + c.Name + " (" + v.inputs[i].Datatype + ") is missing; version " + v.text + " of " + v.pipeline + " reads " + v.featureList()}
		}
		if q.rows < 0 {
			q.rows = c.rows
		}
		if c.rows != q.rows {
			return invalid("column %s has %d rows and column %s has %d; all need the same number", c.Name, c.rows, q.columns[0].Name, q.rows)
		}
		if c.Nulls != nil && !v.nullable[i] {
			for row, null := range c.Nulls {
				if null {
					return invalid("column %s, row %d: the value is missing, and the model takes no missing values of type %s", c.Name, row, c.feature.Type)
				}
			}
		}
		q.batch.Columns = append(q.batch.Columns, c.Column)
	}
	if q.rows == 0 {
		return invalid("the request has no rows")
	}
	if q.rows > limit {
		return tooManyRows(limit)
	}
	q.batch.Rows = q.rows
	return nil
}

// featureList names the version's features with their types, for error texts.
func (v *version) featureList() string {
	all := make([]string, len(v.contract.Features))
	for i, f := range v.contract.Features {
		all[i] = f.Name + " " + string(f.Type)
	}
	return strings.Join(all, ", ")
}

// label finds the class of each row: the one with the highest probability, as
// evaluate judges it.
func (q *request) label(v *version) {
	q.labels = q.labels[:0]
	if len(v.classes) == 0 {
		return
	}
	for i := range q.rows {
		values, best := q.scores.Row(i), 0
		for k, p := range values {
			if p > values[best] {
				best = k
			}
		}
		q.labels = append(q.labels, best)
	}
}

// identify settles the request's id: the one in the body, else the one in the
// header, else one of our own.
func (q *request) identify(header string) error {
	if q.id == nil && header != "" {
		q.id = append(q.idBytes[:0], header...)
	}
	if q.id != nil {
		q.given = true
		if len(q.id) > maxID {
			return invalid("the request's id has %d bytes; at most %d are taken", len(q.id), maxID)
		}
		if !utf8.Valid(q.id) {
			return invalid("the request's id is not UTF-8")
		}
		return nil
	}
	var raw [16]byte
	for i, n := range [2]uint64{rand.Uint64(), rand.Uint64()} {
		for k := range 8 {
			raw[8*i+k] = byte(n >> (8 * k))
		}
	}
	hex.Encode(q.idBytes[:], raw[:])
	q.id = q.idBytes[:]
	return nil
}
