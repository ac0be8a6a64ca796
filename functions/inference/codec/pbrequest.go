package codec

import "google.golang.org/protobuf/encoding/protowire"

// Message is a ModelInferRequest as views of a request's body.
// Its tensors are read straight into the columns; a fuzz test compares the
// result with that of the generated code.
type Message struct {
	Model, Version, ID []byte
	parameters         [][]byte // entries of the map
	inputs             [][]byte
	outputs            [][]byte
	raw                [][]byte
}

// reset drops the views of the body.
func (m *Message) reset() {
	*m = Message{parameters: m.parameters[:0], inputs: m.inputs[:0], outputs: m.outputs[:0], raw: m.raw[:0]}
}

// ReadMessage finds the fields of the message in Body, and checks those that
// are sent back.
func (q *Request) ReadMessage() error { return q.Message.read(q.Body[q.header:]) }

// Complete adds the message's parameters to a call; they take precedence over
// the headers said.
func (m *Message) Complete(c *Call) {
	c.Model = string(m.Model)
	if len(m.Version) > 0 {
		c.Version = string(m.Version)
	}
	if len(m.ID) > 0 {
		c.ID = string(m.ID)
	}
}

func (m *Message) read(body []byte) error {
	m.reset()
	var f field
	for w := wire(body); len(w) > 0; {
		err := w.next(&f)
		switch {
		case err != nil:
		case f.is(requestModel):
			m.Model, err = f.text("the model's name")
		case f.is(requestVersion):
			m.Version, err = f.text("the model's version")
		case f.is(requestID):
			m.ID, err = f.text("the request's id")
		case f.is(requestParameters):
			m.parameters = append(m.parameters, f.bytes)
			err = checkEntry(f.bytes)
		case f.is(requestInputs):
			m.inputs = append(m.inputs, f.bytes)
		case f.is(requestOutputs):
			m.outputs = append(m.outputs, f.bytes)
		case f.is(requestRaw):
			m.raw = append(m.raw, f.bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkEntry makes sure that a parameter that is sent back can be read.
func checkEntry(entry []byte) error {
	var f, inner field
	for w := wire(entry); len(w) > 0; {
		err := w.next(&f)
		switch {
		case err != nil:
		case f.is(entryKey):
			_, err = f.text("the name of a parameter")
		case f.is(entryValue):
			for v := wire(f.bytes); len(v) > 0 && err == nil; {
				if err = v.next(&inner); err == nil && inner.is(parameterText) {
					_, err = inner.text("a parameter")
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the name of a parameter.
func keyOf(entry []byte) (key []byte) {
	var f field
	for w := wire(entry); len(w) > 0 && w.next(&f) == nil; {
		if f.is(entryKey) {
			key = f.bytes
		}
	}
	return key
}

// nameOf is the name of an output that is asked for.
func nameOf(output []byte) (name []byte, err error) {
	var f field
	for w := wire(output); len(w) > 0; {
		if err = w.next(&f); err != nil {
			return nil, err
		}
		if f.is(tensorName) {
			if name, err = f.text("the name of an output"); err != nil {
				return nil, err
			}
		}
	}
	return name, nil
}

// readMessageRows reads the rows of a ModelInferRequest.
func (q *Request) readMessageRows() error {
	m := &q.Message
	for _, p := range m.parameters {
		if err := checkParameter("", keyOf(p), parameterOf(p)); err != nil {
			return err
		}
	}
	for _, o := range m.outputs {
		if err := checkEntries("an output: ", o, askedParameters); err != nil {
			return err
		}
		name, err := nameOf(o)
		if err != nil {
			return err
		}
		at, err := q.schema.output(name)
		if err == nil {
			err = q.ask(asked{at: at})
		}
		if err != nil {
			return err
		}
	}
	if q.binary = len(m.raw) > 0; q.binary && len(m.raw) != len(m.inputs) {
		return Invalid("there are %d inputs and %d raw_input_contents; there must be one for each", len(m.inputs), len(m.raw))
	}
	if len(m.inputs) == 0 {
		return Invalid("inputs is missing: a list with one tensor for each column: %s", q.schema.featureList())
	}
	for i, in := range m.inputs {
		t := &q.tensor
		typed, err := t.describe(in)
		if err == nil {
			err = checkEntries(ofInput(t.name), in, tensorParameters)
		}
		if err != nil {
			return err
		}
		if q.binary && typed { // MLServer sends empty ones
			return Invalid("input %s has contents, and the request has raw_input_contents; it must have one of them", t.name)
		}
		to, k, err := q.place(t, q.binary)
		switch {
		case err != nil:
			return err
		case to == nil:
		case q.binary:
			err = t.readRaw(to, m.raw[i])
		default:
			err = t.readContents(to, k, in)
		}
		if err != nil {
			return err
		}
	}
	if len(q.Message.ID) > 0 {
		q.ID = q.Message.ID
	}
	return nil
}

// describe reads what a tensor is, and whether it has contents.
func (t *tensor) describe(in []byte) (typed bool, err error) {
	*t = tensor{}
	var f field
	for w := wire(in); len(w) > 0; {
		err := w.next(&f)
		switch {
		case err != nil:
		case f.is(tensorName):
			t.name, err = f.text("the name of an input")
		case f.is(tensorDatatype):
			t.datatype, err = f.text("the datatype of an input")
		case f.repeats(tensorShape, protowire.VarintType):
			err = f.integers(t.addDimension)
		case f.is(tensorContents):
			typed = typed || len(f.bytes) > 0
		}
		if err != nil {
			return false, err
		}
	}
	switch {
	case len(t.name) == 0:
		return false, Invalid("an input has no name")
	case t.rank > len(t.shape):
		return false, Invalid("input %s: its shape has more than %d dimensions", t.name, len(t.shape))
	}
	for _, n := range t.shape[:t.rank] {
		if n < 0 {
			return false, Invalid("input %s: a dimension of its shape is not a whole number from 0", t.name)
		}
	}
	return typed, nil
}

func (t *tensor) addDimension(n uint64) error {
	if t.rank < len(t.shape) {
		t.shape[t.rank] = int64(n)
	}
	t.rank++
	return nil
}
