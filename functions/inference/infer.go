package inference

// readInfer reads a request of the Open Inference Protocol.
func (q *request) readInfer(s *served, v *version, maxRows int) error {
	c := q.begin()
	q.expect(v)
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
			err = q.readID(c)
		case "parameters":
			err = q.readParameters(c)
		case "inputs":
			if inputs {
				return invalid("inputs is given twice")
			}
			inputs = true
			err = q.readInputs(c, s, v, maxRows)
		case "outputs":
			err = q.readOutputs(c, v)
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
		return invalid("inputs is missing: a list with one tensor for each column: %s", v.featureList())
	}
	if len(q.raw) > 0 {
		return invalid("%d bytes of binary data are left after the last tensor", len(q.raw))
	}
	return q.check(v, maxRows)
}

func (q *request) readID(c *cursor) error {
	if c.peek() == 'n' && c.literal("null") {
		return nil
	}
	id, err := c.text()
	if len(id) > 0 {
		q.id = id
	}
	return err
}

// readParameters reads an object of plain values and keeps its members as they
// are written, but for those that the answer has of its own.
func (q *request) readParameters(c *cursor) error {
	q.parameters = q.parameters[:0]
	return c.plain("parameter", func(name []byte, value []byte) error {
		switch string(name) {
		case "route":
			return nil
		case "binary_data_output":
			q.binary = string(value) == "true"
			return nil
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
			return invalid("%s %s is no string, number or truth value", what, name)
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

func (q *request) readInputs(c *cursor, s *served, v *version, maxRows int) error {
	if err := c.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := c.more(first, ']')
		if !more {
			return err
		}
		if err := q.readTensor(c, s, v, maxRows); err != nil {
			return err
		}
	}
}

// idOf finds the id in the body of a request without changing a byte; nil if
// there is none. What is wrong with the body is found later.
func idOf(body []byte) []byte {
	c := &cursor{b: body}
	if c.open('{') != nil {
		return nil
	}
	for first := true; ; first = false {
		more, err := c.more(first, '}')
		if !more || err != nil || c.peek() != '"' {
			return nil
		}
		start := c.at
		if c.skipText() != nil {
			return nil
		}
		isID := string(c.b[start:c.at]) == `"id"`
		if c.peek() != ':' {
			return nil
		}
		c.at++
		c.peek()
		start = c.at
		if c.skip(0) != nil {
			return nil
		}
		if isID {
			if id := c.b[start:c.at]; len(id) > 2 && id[0] == '"' {
				return id[1 : len(id)-1]
			}
			return nil
		}
	}
}
