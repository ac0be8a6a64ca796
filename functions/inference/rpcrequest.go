package inference

import "google.golang.org/protobuf/encoding/protowire"

// message is a ModelInferRequest that lies in a request's body: views of it.
// Its tensors are read straight into the columns; the fuzz tests hold that
// against the generated code.
type message struct {
	model, version, id []byte
	parameters         [][]byte // entries of the map
	inputs             [][]byte
	outputs            [][]byte
	raw                [][]byte
}

// forget lets go of the body.
func (m *message) forget() {
	*m = message{parameters: m.parameters[:0], inputs: m.inputs[:0], outputs: m.outputs[:0], raw: m.raw[:0]}
}

// read finds the fields of the message, and makes sure of all that is sent
// back.
func (m *message) read(body []byte) error {
	m.forget()
	var f field
	for w := wire(body); len(w) > 0; {
		err := w.next(&f)
		switch {
		case err != nil:
		case f.is(requestModel):
			m.model, err = f.text("the model's name")
		case f.is(requestVersion):
			m.version, err = f.text("the model's version")
		case f.is(requestID):
			m.id, err = f.text("the request's id")
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

// checkEntry makes sure that a parameter can be read by whoever gets it back.
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

// readRPC reads a request that came by gRPC.
func (q *request) readRPC(s *served, v *version, maxRows int) error {
	q.expect(v)
	m := &q.message
	for _, o := range m.outputs {
		name, err := nameOf(o)
		if err != nil {
			return err
		}
		at, err := v.output(name)
		if err == nil {
			err = q.ask(v, asked{at: at})
		}
		if err != nil {
			return err
		}
	}
	if q.binary = len(m.raw) > 0; q.binary && len(m.raw) != len(m.inputs) {
		return invalid("there are %d inputs and %d raw_input_contents; there must be one for each", len(m.inputs), len(m.raw))
	}
	if len(m.inputs) == 0 {
		return invalid("inputs is missing: a list with one tensor for each column: %s", v.featureList())
	}
	for i, in := range m.inputs {
		t := &q.tensor
		typed, err := t.describe(in)
		if err != nil {
			return err
		}
		if q.binary && typed { // MLServer sends empty ones
			return invalid("input %s has contents, and the request has raw_input_contents; it must have one of them", t.name)
		}
		to, k, err := q.place(t, s, v, maxRows, q.binary)
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
	if len(q.message.id) > 0 {
		q.id = q.message.id
	}
	return q.check(v, maxRows)
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
		return false, invalid("an input has no name")
	case t.rank > len(t.shape):
		return false, invalid("input %s: its shape has more than %d dimensions", t.name, len(t.shape))
	}
	for _, n := range t.shape[:t.rank] {
		if n < 0 {
			return false, invalid("input %s: a dimension of its shape is no whole number from 0", t.name)
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
