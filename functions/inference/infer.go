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

// tensor is one input as far as it has been read.
type tensor struct {
	name, datatype []byte
	shape          [4]int64
	rank           int
	data           int   // where the data begins, if it has been gone over
	size           int64 // of the data that follows the JSON; -1 if it is in it
	read           bool
}

func (q *request) readTensor(c *cursor, s *served, v *version, maxRows int) error {
	t := &q.tensor
	*t = tensor{rank: -1, data: -1, size: -1}
	if err := c.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		switch string(key) {
		case "name":
			t.name, err = c.text()
		case "datatype":
			t.datatype, err = c.text()
		case "shape":
			err = t.readShape(c)
		case "data":
			if t.read || t.data >= 0 {
				return invalid("input %s has data twice", t.name)
			}
			if t.name != nil && t.datatype != nil && t.rank >= 0 {
				t.read, err = true, q.readData(c, t, s, v, maxRows)
				break
			}
			c.peek()
			t.data = c.at
			err = c.skip(0)
		case "parameters":
			err = t.readParameters(c)
		default:
			err = c.skip(0)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(t.name) == 0:
		return invalid("an input has no name; the columns are %s", v.featureList())
	case t.datatype == nil:
		return invalid("input %s has no datatype", t.name)
	case t.rank < 0:
		return invalid("input %s has no shape", t.name)
	case t.size >= 0 && (t.read || t.data >= 0):
		return invalid("input %s has data in the JSON and binary_data_size; it must have one of them", t.name)
	case t.size >= 0:
		return q.readBinary(t, s, v, maxRows)
	case t.read:
		return nil
	case t.data < 0:
		return invalid("input %s has no data", t.name)
	}
	after := c.at
	c.at = t.data
	if err := q.readData(c, t, s, v, maxRows); err != nil {
		return err
	}
	c.at = after
	return nil
}

func (t *tensor) readParameters(c *cursor) error {
	return c.plain("parameter", func(name, value []byte) error {
		if string(name) != "binary_data_size" {
			return nil
		}
		inner := cursor{b: value}
		n, err := inner.number()
		if err != nil || !n.whole || n.i < 0 {
			return invalid("input %s: binary_data_size is no number of bytes", t.name)
		}
		t.size = n.i
		return nil
	})
}

func (t *tensor) readShape(c *cursor) error {
	if err := c.open('['); err != nil {
		return err
	}
	t.rank = 0
	for first := true; ; first = false {
		more, err := c.more(first, ']')
		if !more {
			return err
		}
		c.peek()
		n, err := c.number()
		if err != nil {
			return err
		}
		if !n.whole || n.i < 0 {
			return invalid("input %s: a dimension of its shape is no whole number from 0", t.name)
		}
		if t.rank == len(t.shape) {
			return invalid("input %s: its shape has more than %d dimensions", t.name, len(t.shape))
		}
		t.shape[t.rank] = n.i
		t.rank++
	}
}

// readData reads the values of a tensor into its column, or columns.
func (q *request) readData(c *cursor, t *tensor, s *served, v *version, maxRows int) error {
	to, k, err := q.place(t, s, v, maxRows, false)
	switch {
	case err != nil:
		return err
	case to == nil:
		return c.skip(0)
	case len(to) > 1:
		m := matrix{q: q, kind: k, limit: int(t.shape[0]) * len(to), name: t.name}
		if err := m.list(c, 1); err != nil {
			return err
		}
		if m.count != m.limit {
			return invalid("input %s has %d values, and its shape says %d", t.name, m.count, m.limit)
		}
		return nil
	}
	if err := to[0].list(c, k, maxRows, 1); err != nil {
		return err
	}
	if int64(to[0].rows) != t.shape[0] {
		return invalid("input %s has %d values, and its shape says %d", t.name, to[0].rows, t.shape[0])
	}
	return nil
}

// place gives the columns that a tensor fills, and what its values may be: one
// column, all of them row by row if it is a matrix, none if it is ignored.
func (q *request) place(t *tensor, s *served, v *version, maxRows int, binary bool) ([]column, kind, error) {
	var to []column
	column := q.column(v, t.name)
	switch {
	case column == nil && v.matrix && t.rank == 2 && t.shape[1] == int64(len(q.columns)) && len(q.columns) > 1:
		to = q.columns
	case column == nil && s.ignores(t.name):
		return nil, kind{}, nil
	case column == nil:
		return nil, kind{}, invalid("there is no column %q; version %s of %s reads %s", t.name, v.text, v.pipeline, v.featureList())
	case t.rank != 1 && (t.rank != 2 || t.shape[1] != 1):
		return nil, kind{}, invalid("input %s has shape %v; a column needs [N] or [N, 1]", t.name, t.shape[:t.rank])
	default:
		to = q.columns[q.next-1 : q.next]
	}
	if t.shape[0] > int64(maxRows) {
		return nil, kind{}, tooManyRows(maxRows)
	}
	var k kind
	for i := range to {
		var err error
		switch c := &to[i]; {
		case c.given && column != nil:
			return nil, k, invalid("input %s is given twice", t.name)
		case c.given:
			return nil, k, invalid("input %s brings column %s, which is given twice", t.name, c.Name)
		default:
			c.given = true
			if k, err = c.kindOf(view(t.datatype), binary); err != nil {
				return nil, k, err
			}
		}
	}
	return to, k, nil
}

// matrix deals values out to the columns, row by row.
type matrix struct {
	q            *request
	kind         kind
	name         []byte
	count, limit int
}

func (m *matrix) list(c *cursor, depth int) error {
	if err := c.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := c.more(first, ']')
		if !more {
			return err
		}
		switch {
		case c.peek() == '[' && depth < maxNesting:
			err = m.list(c, depth+1)
		case m.count == m.limit:
			return invalid("input %s has more values than its shape says, %d", m.name, m.limit)
		default:
			err = m.q.columns[m.count%len(m.q.columns)].add(c, m.kind)
			m.count++
		}
		if err != nil {
			return err
		}
	}
}

// readOutputs reads which outputs are asked for.
func (q *request) readOutputs(c *cursor, v *version) error {
	if c.peek() == 'n' && c.literal("null") {
		return nil
	}
	if err := c.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := c.more(first, ']')
		if !more {
			return err
		}
		if err := q.readOutput(c, v); err != nil {
			return err
		}
	}
}

func (q *request) readOutput(c *cursor, v *version) error {
	if err := c.open('{'); err != nil {
		return err
	}
	out := asked{at: -1}
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		switch string(key) {
		case "name":
			var name []byte
			if name, err = c.text(); err == nil {
				out.at, err = v.output(name)
			}
		case "parameters":
			err = c.plain("parameter", func(name, value []byte) error {
				if string(name) == "binary_data" {
					out.binary = inJSON
					if string(value) == "true" {
						out.binary = inBinary
					}
				}
				return nil
			})
		default:
			err = c.skip(0)
		}
		if err != nil {
			return err
		}
	}
	return q.ask(v, out)
}

// ask takes an output into those that are asked for.
func (q *request) ask(v *version, out asked) error {
	if out.at < 0 {
		return invalid("an output has no name; the outputs are %s", v.outputList())
	}
	if len(q.outputs) == maxOutputs {
		return invalid("more than %d outputs are asked for; there are %d", maxOutputs, len(v.outputs))
	}
	q.outputs = append(q.outputs, out)
	return nil
}

// maxOutputs bounds how often an output may be asked for.
const maxOutputs = 8

// output finds the place of an output.
func (v *version) output(name []byte) (int, error) {
	for i := range v.outputs {
		if v.outputs[i].Name == view(name) {
			return i, nil
		}
	}
	return -1, invalid("there is no output %q; the outputs are %s", name, v.outputList())
}

func (v *version) outputList() string {
	if len(v.outputs) == 1 {
		return v.outputs[0].Name
	}
	return v.outputs[0].Name + ", " + v.outputs[1].Name
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

// writeInfer writes the answer.
func (q *request) writeInfer(s *served, v *version, route string) {
	b := append(q.out[:0], `{"model_name":`...)
	b = appendString(b, s.name)
	b = append(b, `,"model_version":"`...)
	b = append(b, v.text...)
	b = append(b, `","id":`...)
	b = appendString(b, view(q.id))
	b = append(b, `,"parameters":{`...)
	if len(q.parameters) > 0 {
		b = append(b, q.parameters...)
		b = append(b, ',')
	}
	b = append(b, `"route":"`...)
	b = append(b, route...)
	b = append(b, `"},"outputs":[`...)
	outputs := q.wanted(v)
	for i, o := range outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = q.appendOutput(b, v, &v.outputs[o.at], q.isBinary(o))
	}
	b = append(b, "]}\n"...)
	end := len(b)
	for _, o := range outputs {
		if q.isBinary(o) {
			q.outJSON = end
			b = q.appendRaw(b, v, &v.outputs[o.at])
		}
	}
	q.out = b
}

// wanted are the outputs that the answer has.
func (q *request) wanted(v *version) []asked {
	if len(q.outputs) > 0 {
		return q.outputs
	}
	return v.all
}

func (q *request) isBinary(o asked) bool {
	return o.binary == inBinary || o.binary == asOthers && q.binary
}

func (q *request) appendOutput(b []byte, v *version, o *tensorInfo, binary bool) []byte {
	b = append(b, `{"name":"`...)
	b = append(b, o.Name...)
	b = append(b, `","shape":[`...)
	b = appendInt(b, q.rows)
	if len(o.Shape) == 2 {
		b = append(b, ',')
		b = appendInt(b, int(o.Shape[1]))
	}
	b = append(b, `],"datatype":"`...)
	b = append(b, o.Datatype...)
	if binary {
		b = append(b, `","parameters":{"binary_data_size":`...)
		b = appendInt(b, q.rawSize(v, o))
		return append(b, "}}"...)
	}
	b = append(b, `","data":[`...)
	if o.Name == outputLabel {
		for i, class := range q.labels {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, v.classes[class]...)
		}
		return append(b, "]}"...)
	}
	for i, x := range q.scores.Values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(b, x, v.bits)
	}
	return append(b, "]}"...)
}
