package codec

// readInfer reads a request of the Open Inference Protocol.
func (q *Request) readInfer() error {
	c := q.begin()
	if err := c.open('{'); err != nil {
		return err
	}
	inputs := false
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		switch string(key) {
		case "id":
			if q.ID != nil {
				return Invalid("id is given twice")
			}
			err = q.readID(c)
		case "parameters":
			err = q.readParameters(c)
		case "inputs":
			if inputs {
				return Invalid("inputs is given twice")
			}
			inputs = true
			err = q.readInputs(c)
		case "outputs":
			if len(q.outputs) > 0 {
				return Invalid("outputs is given twice")
			}
			err = q.readOutputs(c)
		default:
			err = c.skip(0)
		}
		if err != nil {
			return err
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	if !inputs {
		return Invalid("inputs is missing: a list with one tensor for each column: %s", q.schema.featureList())
	}
	if len(q.raw) > 0 {
		return Invalid("%d bytes of binary data are left after the last tensor", len(q.raw))
	}
	return nil
}

func (q *Request) readID(c *cursor) error {
	if c.peek() == 'n' && c.literal("null") {
		return nil
	}
	id, err := c.text()
	if len(id) > 0 {
		q.ID = id
	}
	return err
}

// readParameters reads an object of plain values and keeps its members as they
// are written, but for those that the answer has of its own.
func (q *Request) readParameters(c *cursor) error {
	q.parameters = q.parameters[:0]
	return c.plain("parameter", func(name []byte, value []byte) error {
		switch string(name) {
		case "route", "errors":
			return nil
		case "binary_data_output":
			q.binary = string(value) == "true"
			return nil
		}
		if err := checkParameter("", name, value); err != nil {
			return err
		}
		if len(q.parameters) > 0 {
			q.parameters = append(q.parameters, ',')
		}
		q.parameters = appendString(q.parameters, view(name))
		q.parameters = append(q.parameters, ':')
		q.parameters = append(q.parameters, value...)
		return nil
	})
}

// plain reads an object of plain values, each as it is written; or null.
func (c *cursor) plain(what string, member func(name, value []byte) error) error {
	if c.peek() == 'n' && c.literal("null") {
		return nil
	}
	if err := c.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, more, err := c.key(first)
		if !more {
			return err
		}
		if ch := c.peek(); ch == '{' || ch == '[' {
			return Invalid("%s %s is neither a string, a number, true nor false", what, name)
		}
		start := c.at
		if err := c.skip(0); err != nil {
			return err
		}
		if err := member(name, c.b[start:c.at]); err != nil {
			return err
		}
	}
}

func (q *Request) readInputs(c *cursor) error {
	if err := c.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := c.more(first, ']')
		if !more {
			return err
		}
		if err := q.readTensor(c); err != nil {
			return err
		}
	}
}
