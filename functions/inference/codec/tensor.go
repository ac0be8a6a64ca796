package codec

// tensor is one input as far as it has been read.
type tensor struct {
	name, datatype []byte
	shape          [4]int64
	rank           int
	data           int   // where the data begins, if it has been gone over
	size           int64 // of the data that follows the JSON; -1 if it is in it
	read           bool
}

func (q *Request) readTensor(c *cursor) error {
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
			if t.name != nil {
				return Invalid("input %s has two names", t.name)
			}
			t.name, err = c.text()
		case "datatype":
			if t.datatype != nil {
				return Invalid("input %s has two datatypes", t.name)
			}
			t.datatype, err = c.text()
		case "shape":
			if t.rank >= 0 {
				return Invalid("input %s has two shapes", t.name)
			}
			err = t.readShape(c)
		case "data":
			if t.read || t.data >= 0 {
				return Invalid("input %s has data twice", t.name)
			}
			if t.name != nil && t.datatype != nil && t.rank >= 0 {
				t.read, err = true, q.readData(c, t)
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
		return Invalid("an input has no name; the columns are %s", q.schema.featureList())
	case t.datatype == nil:
		return Invalid("input %s has no datatype", t.name)
	case t.rank < 0:
		return Invalid("input %s has no shape", t.name)
	case t.size >= 0 && (t.read || t.data >= 0):
		return Invalid("input %s has data in the JSON and binary_data_size; it must have one of them", t.name)
	case t.size >= 0:
		return q.readBinary(t)
	case t.read:
		return nil
	case t.data < 0:
		return Invalid("input %s has no data", t.name)
	}
	after := c.at
	c.at = t.data
	if err := q.readData(c, t); err != nil {
		return err
	}
	c.at = after
	return nil
}

func (t *tensor) readParameters(c *cursor) error {
	return c.plain("parameter", func(name, value []byte) error {
		if string(name) != "binary_data_size" {
			return checkParameter(ofInput(t.name), name, value)
		}
		inner := cursor{b: value}
		n, err := inner.number()
		if err != nil || !n.whole || n.i < 0 {
			return Invalid("input %s: binary_data_size is not a number of bytes", t.name)
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
			return Invalid("input %s: a dimension of its shape is not a whole number from 0", t.name)
		}
		if t.rank == len(t.shape) {
			return Invalid("input %s: its shape has more than %d dimensions", t.name, len(t.shape))
		}
		t.shape[t.rank] = n.i
		t.rank++
	}
}

// readData reads the values of a tensor into its column, or columns.
func (q *Request) readData(c *cursor, t *tensor) error {
	to, k, err := q.place(t, false)
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
			return Invalid("input %s has %d values, and its shape says %d", t.name, m.count, m.limit)
		}
		return nil
	}
	if err := to[0].list(c, k, q.limits.MaxRows, 1); err != nil {
		return err
	}
	if int64(to[0].rows) != t.shape[0] {
		return Invalid("input %s has %d values, and its shape says %d", t.name, to[0].rows, t.shape[0])
	}
	return nil
}

// place returns the columns that a tensor fills, and what its values may be:
// one column, all of them row by row if it is a matrix, none if it is ignored.
func (q *Request) place(t *tensor, binary bool) ([]column, kind, error) {
	var to []column
	column := q.column(t.name)
	switch {
	case column == nil && q.schema.matrix && t.rank == 2 && t.shape[1] == int64(len(q.columns)) && len(q.columns) > 1:
		to = q.columns
	case column == nil && q.limits.Ignores(t.name):
		return nil, kind{}, nil
	case column == nil:
		return nil, kind{}, q.unknown(t.name)
	case t.rank != 1 && (t.rank != 2 || t.shape[1] != 1):
		return nil, kind{}, Invalid("input %s has shape %v; a column needs [N] or [N, 1]", t.name, t.shape[:t.rank])
	default:
		to = q.columns[q.next-1 : q.next]
	}
	if t.shape[0] > int64(q.limits.MaxRows) {
		return nil, kind{}, TooManyRows(q.limits.MaxRows)
	}
	var k kind
	for i := range to {
		var err error
		switch c := &to[i]; {
		case c.given && column != nil:
			return nil, k, Invalid("input %s is given twice", t.name)
		case c.given:
			return nil, k, Invalid("input %s brings column %s, which is given twice", t.name, c.Name)
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
	q            *Request
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
			return Invalid("input %s has more values than its shape says, %d", m.name, m.limit)
		default:
			err = m.q.columns[m.count%len(m.q.columns)].add(c, m.kind)
			m.count++
		}
		if err != nil {
			return err
		}
	}
}
