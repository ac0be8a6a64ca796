package codec

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"millrace.dev/shared/onnx"
)

// Protocol is how a request is written, and how its answer is.
type Protocol int8

// The protocols.
const (
	V2   Protocol = iota // Open Inference Protocol, JSON with or without binary tensors
	V1                   // KServe's V1 protocol, JSON
	GRPC                 // Open Inference Protocol, protocol buffers
)

// Call is what a request asks for beside its rows.
type Call struct {
	Protocol Protocol
	Model    string
	Version  string // "" for the route's
	Key      string // places the request in the traffic; "" for none
	ID       string // "" when it is in the body, or the request has no id
}

// Limits bound what is read.
type Limits struct {
	MaxRows int
	// Ignores reports whether a request may carry a column that the version
	// does not read. A column that is neither read nor ignored is an error.
	Ignores func(name []byte) bool
}

// Request is the memory that answering one request needs: the body, the columns
// read from it, the model's scores, and the answer. It is used again, so that a
// warm request allocates next to nothing. Its strings are views of Body. The
// zero value is ready. It is not safe for concurrent use.
//
// Fill Body, call Loaded (Split, Frame), then Read; score Batch into Scores,
// then call Classify and Write.
type Request struct {
	// Body is the request as it came in. Reading it changes it.
	Body []byte
	// Message has the fields of a ModelInferRequest (protocol GRPC).
	Message Message
	// Out is the answer.
	Out []byte

	// ID is the client's, or one of ours. It is in the answer and in the log.
	ID []byte
	// Rows is the number of rows that were read, and Batch are their columns,
	// in the order of the schema's features.
	Rows  int
	Batch onnx.Batch
	// Scores is where the model's answer belongs. Classify sets Labels, the places
	// of the rows' classes, -1 for an undefined row, and Undefined, the rows that
	// the model answered with NaN or an infinite number, in ascending order.
	Scores    onnx.Scores
	Labels    []int
	Undefined []int

	schema   *Schema
	limits   Limits
	protocol Protocol
	// header is how much of Body is JSON. Binary tensors follow, and raw has
	// those that were not read yet. With bare there is no JSON: the body is the
	// values of the only input. Of a gRPC message, header is where it begins.
	header int
	raw    []byte
	bare   bool
	// outJSON is how much of Out is JSON; 0 when all of it is.
	outJSON int
	// parameters are those that are echoed, as "key":value,"key":value.
	parameters []byte
	// outputs are the requested ones, in their order; empty for all.
	outputs []asked
	// binary means that outputs are binary tensors unless their own parameters differ.
	binary bool

	columns []column
	next    int // the column that is likely to come next
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

// Reset makes the request ready for another body.
func (q *Request) Reset() {
	q.Body, q.Out, q.ID, q.parameters, q.outputs = q.Body[:0], q.Out[:0], nil, q.parameters[:0], q.outputs[:0]
	q.Rows, q.header, q.outJSON = 0, 0, 0
	q.raw, q.bare, q.binary, q.protocol = nil, false, false, V2
	q.schema, q.limits = nil, Limits{}
	q.Undefined = q.Undefined[:0]
}

// Reusable reports whether the request is small enough to be kept for another.
func (q *Request) Reusable() bool {
	return cap(q.Body) <= keepBytes && cap(q.Out) <= keepBytes && q.Rows <= keepRows
}

// Loaded means that Body is complete and only JSON.
func (q *Request) Loaded() { q.header = len(q.Body) }

// HeaderJSON is the HTTP header with the number of bytes of a body that are
// JSON; binary tensors follow them.
const HeaderJSON = "Inference-Header-Content-Length"

// Split marks where the JSON in Body ends, as HeaderJSON says.
func (q *Request) Split(header string) error {
	n, err := strconv.Atoi(header)
	if err != nil || n < 0 || n > len(q.Body) {
		return Invalid("%s is %q; it must be how many of the body's %d bytes are JSON", HeaderJSON, header, len(q.Body))
	}
	q.header, q.raw, q.bare = n, q.Body[n:], n == 0
	return nil
}

// CopyBody takes over the body of a request that was loaded and not read yet.
func (q *Request) CopyBody(from *Request, p Protocol) {
	q.Body = append(q.Body[:0], from.Body...)
	q.header, q.bare = from.header, from.bare
	if q.raw = nil; from.raw != nil {
		q.raw = q.Body[q.header:]
	}
	if p == GRPC {
		_ = q.ReadMessage() // it has been read before
	}
}

// json is the part of the body that is JSON.
func (q *Request) json() []byte { return q.Body[:q.header] }

// begin goes to the beginning of the JSON.
func (q *Request) begin() *cursor {
	q.cursor = cursor{b: q.json()}
	return &q.cursor
}

// asked is an output that is asked for.
type asked struct {
	at     int // its place among the schema's
	binary asBinary
}

// asBinary is how an output is encoded.
type asBinary int8

const (
	asOthers asBinary = iota // as the request says for all
	inJSON
	inBinary
)

// Read reads the rows into Batch as the schema has them, and sets ID. What is
// wrong with the request is an Error.
func (q *Request) Read(sc *Schema, c Call, l Limits) (err error) {
	q.schema, q.limits, q.protocol = sc, l, c.Protocol
	q.expect()
	switch {
	case c.Protocol == GRPC:
		err = q.readMessageRows()
	case q.bare:
		err = q.readBare()
	case c.Protocol == V1:
		err = q.readPredict()
	default:
		err = q.readInfer()
	}
	if err == nil {
		err = q.check()
	}
	if err != nil {
		return err
	}
	return q.identify(c.ID)
}

// expect prepares the columns for the schema's features.
func (q *Request) expect() {
	features := q.schema.Contract.Features
	for len(q.columns) < len(features) {
		q.columns = append(q.columns, column{})
	}
	q.columns = q.columns[:len(features)]
	for i := range features {
		q.columns[i].reset(features[i])
	}
	q.next = 0
}

// column returns a feature's column, nil if the version has no such feature.
func (q *Request) column(name []byte) *column {
	if q.next < len(q.columns) && q.columns[q.next].Name == view(name) {
		q.next++
		return &q.columns[q.next-1]
	}
	i, ok := q.schema.index[view(name)]
	if !ok {
		return nil
	}
	q.next = i + 1
	return &q.columns[i]
}

// unknown is the error of a column that is neither read nor ignored.
func (q *Request) unknown(name []byte) error {
	return Invalid("there is no column %q; version %s of %s reads %s", name, q.schema.Version, q.schema.Model, q.schema.featureList())
}

// check makes sure that every feature came, with as many rows as the others
// and nothing missing that the model has to know, and makes the batch.
func (q *Request) check() error {
	q.Batch.Columns = q.Batch.Columns[:0]
	q.Rows = -1
	unwanted, overflow := false, false
	for i := range q.columns {
		c := &q.columns[i]
		if !c.given {
			return &Error{
				Status: http.StatusBadRequest, Missing: c.Name,
				Text: "column " + c.Name + " (" + q.schema.Inputs[i].Datatype + ") is missing; version " + q.schema.Version + " of " + q.schema.Model + " reads " + q.schema.featureList(),
			}
		}
		if q.Rows < 0 {
			q.Rows = c.rows
		}
		if c.rows != q.Rows {
			return Invalid("column %s has %d rows and column %s has %d; all need the same number", c.Name, c.rows, q.columns[0].Name, q.Rows)
		}
		overflow = overflow || q.schema.single[i] && slices.ContainsFunc(c.Floats, onnx.Overflows)
		unwanted = unwanted || c.Nulls != nil && (c.feature.Required || !q.schema.nullable[i])
		q.Batch.Columns = append(q.Batch.Columns, c.Column)
	}
	if q.Rows == 0 {
		return Invalid("the request has no rows")
	}
	if q.Rows > q.limits.MaxRows {
		return TooManyRows(q.limits.MaxRows)
	}
	if unwanted {
		return q.unwantedNulls()
	}
	if overflow {
		return q.overflows()
	}
	q.Batch.Rows = q.Rows
	return nil
}

// identify sets the request's id: the one in the body, else the one in the
// header, else one of our own.
func (q *Request) identify(header string) error {
	if q.ID == nil && header != "" {
		q.ID = append(q.idBytes[:0], header...)
	}
	if q.ID != nil {
		if len(q.ID) > maxID {
			return Invalid("the request's id has %d bytes; at most %d are taken", len(q.ID), maxID)
		}
		if !utf8.Valid(q.ID) {
			return Invalid("the request's id is not UTF-8")
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
	q.ID = q.idBytes[:]
	return nil
}

// Classify sets the label of each row of a classification: the class with the
// highest probability, as evaluate judges it. A row with a value that is not a
// finite number has no label.
func (q *Request) Classify() {
	q.Labels, q.Undefined = q.Labels[:0], q.Undefined[:0]
	for i := range q.Rows {
		values, best, finite := q.Scores.Row(i), 0, 0.0
		for k, p := range values {
			if p > values[best] {
				best = k
			}
			finite += p - p // NaN unless all are finite
		}
		if finite != 0 {
			best, q.Undefined = -1, append(q.Undefined, i)
		}
		if len(q.schema.classes) > 0 {
			q.Labels = append(q.Labels, best)
		}
	}
}

// UndefinedText names the undefined rows, "" if every row is defined.
func (q *Request) UndefinedText() string {
	if len(q.Undefined) == 0 {
		return ""
	}
	return rowList(q.Undefined) + ": the model answered NaN or an infinite number"
}

// Write writes the answer into Out, in the protocol of the request. Of a gRPC
// answer, the first FramePrefix bytes are the frame's.
func (q *Request) Write(route string) {
	switch q.protocol {
	case GRPC:
		q.writeMessage(route)
	case V1:
		q.writePredict()
	default:
		q.writeInfer(route)
	}
}

// JSONSize returns how many bytes of Out are JSON, before binary tensors; 0
// when all of it is.
func (q *Request) JSONSize() int { return q.outJSON }
