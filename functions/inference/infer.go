package inference

import "net/http"

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
			q.parameters, err = readParameters(c, q.parameters[:0])
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

// readParameters reads an object of plain values and appends its members as
// they are written, but for those that the answer has of its own.
func readParameters(c *cursor, to []byte) ([]byte, error) {
	if c.peek() == 'n' && c.literal("null") {
		return to, nil
	}
	if err := c.open('{'); err != nil {
		return to, err
	}
	for first := true; ; first = false {
		c.peek()
		name, more, err := c.key(first)
		if !more {
			return to, err
		}
		own := string(name) == "route" || string(name) == "binary_data_output"
		if ch := c.peek(); ch == '{' || ch == '[' {
			return to, invalid("parameter %s is no string, number or truth value", name)
		}
		start := c.at
		if err := c.skip(0); err != nil {
			return to, err
		}
		if own {
			continue
		}
		if len(to) > 0 {
			to = append(to, ',')
		}
		to = appendString(to, view(name))
		to = append(to, ':')
		to = append(to, c.b[start:c.at]...)
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
	data           int // where the data begins, if it has been gone over
	read           bool
}

func (q *request) readTensor(c *cursor, s *served, v *version, maxRows int) error {
	t := &q.tensor
	*t = tensor{rank: -1, data: -1}
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
			err = skipParameters(c, t.name)
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

func skipParameters(c *cursor, input []byte) error {
	start := c.at
	if err := c.skip(0); err != nil {
		return err
	}
	inner := cursor{b: c.b[:c.at], at: start}
	if inner.peek() != '{' {
		return nil
	}
	inner.at++
	for first := true; ; first = false {
		name, more, err := inner.key(first)
		if !more {
			return err
		}
		if string(name) == "binary_data_size" {
			return invalid("input %s: binary tensors are not taken yet; send its data in the JSON", input)
		}
		if err := inner.skip(0); err != nil {
			return err
		}
	}
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

// readData reads the values of a tensor into its column.
func (q *request) readData(c *cursor, t *tensor, s *served, v *version, maxRows int) error {
	column := q.column(v, t.name)
	switch {
	case column == nil && v.matrix && t.rank == 2 && t.shape[1] == int64(len(q.columns)) && len(q.columns) > 1:
		return q.readMatrix(c, t, maxRows)
	case column == nil && s.ignores(t.name):
		return c.skip(0)
	case column == nil:
		return invalid("there is no column %q; version %s of %s reads %s", t.name, v.text, v.pipeline, v.featureList())
	case column.given:
		return invalid("input %s is given twice", t.name)
	case t.rank != 1 && (t.rank != 2 || t.shape[1] != 1):
		return invalid("input %s has shape %v; a column needs [N] or [N, 1]", t.name, t.shape[:t.rank])
	case t.shape[0] > int64(maxRows):
		return tooManyRows(maxRows)
	}
	k, err := column.kindOf(view(t.datatype))
	if err != nil {
		return err
	}
	if err := column.list(c, k, maxRows, 1); err != nil {
		return err
	}
	column.given = true
	if int64(column.rows) != t.shape[0] {
		return invalid("input %s has %d values, and its shape says %d", t.name, column.rows, t.shape[0])
	}
	return nil
}

// readMatrix reads all features from one tensor, in their order.
func (q *request) readMatrix(c *cursor, t *tensor, maxRows int) error {
	if t.shape[0] > int64(maxRows) {
		return tooManyRows(maxRows)
	}
	m := matrix{q: q, limit: int(t.shape[0]) * len(q.columns), name: t.name}
	for i := range q.columns {
		col := &q.columns[i]
		if col.given {
			return invalid("input %s brings column %s, which is given twice", t.name, col.Name)
		}
		k, err := col.kindOf(view(t.datatype))
		if err != nil {
			return err
		}
		m.kind, col.given = k, true
	}
	if err := m.list(c, 1); err != nil {
		return err
	}
	if m.count != m.limit {
		return invalid("input %s has %d values, and its shape says %d", t.name, m.count, m.limit)
	}
	return nil
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
	at := -1
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if string(key) != "name" {
			if err := c.skip(0); err != nil {
				return err
			}
			continue
		}
		name, err := c.text()
		if err != nil {
			return err
		}
		if at = v.output(name); at < 0 {
			return invalid("there is no output %q; the outputs are %s", name, v.outputList())
		}
	}
	if at < 0 {
		return invalid("an output has no name; the outputs are %s", v.outputList())
	}
	if len(q.outputs) == maxOutputs {
		return invalid("more than %d outputs are asked for; there are %d", maxOutputs, len(v.outputs))
	}
	q.outputs = append(q.outputs, at)
	return nil
}

// maxOutputs bounds how often an output may be asked for.
const maxOutputs = 8

func (v *version) output(name []byte) int {
	for i := range v.outputs {
		if v.outputs[i].Name == view(name) {
			return i
		}
	}
	return -1
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
	asked := q.outputs
	if len(asked) == 0 {
		asked = v.all
	}
	for i, at := range asked {
		if i > 0 {
			b = append(b, ',')
		}
		b = q.appendOutput(b, v, &v.outputs[at])
	}
	q.out = append(b, "]}\n"...)
}

func (q *request) appendOutput(b []byte, v *version, o *tensorInfo) []byte {
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

// notBinary refuses what the protocol has and this server has not yet.
func notBinary(r *http.Request) error {
	if r.Header[headerBinary] != nil {
		return invalid("binary tensors (Inference-Header-Content-Length) are not taken yet; send JSON")
	}
	return nil
}
