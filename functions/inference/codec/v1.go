package codec

// readPredict reads a request of KServe's V1 protocol: instances as objects by
// column, as lists in the order of the features, or as bare values when there
// is one feature; or inputs, a list for each column.
func (q *Request) readPredict() error {
	c := q.begin()
	if err := c.open('{'); err != nil {
		return err
	}
	found := false
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		instances := string(key) == "instances"
		if !instances && string(key) != "inputs" {
			if err := c.skip(0); err != nil {
				return err
			}
			continue
		}
		if found {
			return Invalid("instances (or inputs) is given twice")
		}
		found = true
		if instances {
			err = q.readInstances(c)
		} else {
			err = q.readColumns(c)
		}
		if err != nil {
			return err
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	if !found {
		return Invalid("instances is missing: a list of objects by column, or of lists in the order of the columns: %s", q.schema.featureList())
	}
	return nil
}

func (q *Request) readInstances(c *cursor) error {
	if err := c.open('['); err != nil {
		return err
	}
	for i := range q.columns {
		q.columns[i].given = true
	}
	row := 0
	for ; ; row++ {
		more, err := c.more(row == 0, ']')
		if !more {
			return err
		}
		if row == q.limits.MaxRows {
			return TooManyRows(q.limits.MaxRows)
		}
		switch ch := c.peek(); {
		case ch == '{':
			err = q.readObject(c, row)
		case ch == '[':
			err = q.readRow(c, row)
		case len(q.columns) == 1:
			err = q.columns[0].add(c, anyKind)
		default:
			return Invalid("instance %d is %s; it must be an object by column, or a list in the order of the columns: %s", row, c.found(), q.schema.featureList())
		}
		if err != nil {
			return err
		}
	}
}

// readObject reads one instance by the names of its columns.
func (q *Request) readObject(c *cursor, row int) error {
	c.at++
	q.next = 0
	got := 0
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		column := q.column(key)
		switch {
		case column != nil && column.rows > row:
			return Invalid("instance %d has column %s twice", row, key)
		case column != nil:
			got++
			err = column.add(c, anyKind)
		case q.limits.Ignores(key):
			err = c.skip(0)
		default:
			return Invalid("instance %d: there is no column %q; version %s of %s reads %s", row, key, q.schema.Version, q.schema.Model, q.schema.featureList())
		}
		if err != nil {
			return err
		}
	}
	if got == len(q.columns) {
		return nil
	}
	for i := range q.columns {
		if col := &q.columns[i]; col.rows == row {
			hint := ""
			if !col.feature.Required {
				hint = "; send null for a missing value"
			}
			return &Error{Status: 400, Missing: col.Name,
				Text: "instance " + string(appendInt(nil, row)) + " lacks column " + col.Name + hint + ". The columns are " + q.schema.featureList()}
		}
	}
	return nil
}

// readRow reads one instance in the order of the features.
func (q *Request) readRow(c *cursor, row int) error {
	c.at++
	n := 0
	for ; ; n++ {
		more, err := c.more(n == 0, ']')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if n < len(q.columns) {
			err = q.columns[n].add(c, anyKind)
		} else {
			err = c.skip(0)
		}
		if err != nil {
			return err
		}
	}
	if n != len(q.columns) {
		return Invalid("instance %d has %d values; the columns are %d: %s", row, n, len(q.columns), q.schema.featureList())
	}
	return nil
}

// readColumns reads an object with a list for each column.
func (q *Request) readColumns(c *cursor) error {
	if err := c.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if !more {
			return err
		}
		column := q.column(key)
		switch {
		case column != nil && column.given:
			return Invalid("column %s is given twice", key)
		case column != nil:
			column.given = true
			err = column.list(c, anyKind, q.limits.MaxRows, 1)
		case q.limits.Ignores(key):
			err = c.skip(0)
		default:
			return q.unknown(key)
		}
		if err != nil {
			return err
		}
	}
}

// writePredict writes the answer: a number for each row of a regression, label
// and probabilities for each row of a classification.
func (q *Request) writePredict() {
	b := append(q.Out[:0], `{"predictions":[`...)
	for row := range q.Rows {
		if row > 0 {
			b = append(b, ',')
		}
		values := q.Scores.Row(row)
		if len(q.schema.classes) == 0 {
			b = appendFloat(b, values[0], q.schema.bits)
			continue
		}
		b = append(b, `{"label":`...)
		b = q.appendLabel(b, q.Labels[row])
		b = append(b, `,"probabilities":[`...)
		for i, p := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendFloat(b, p, q.schema.bits)
		}
		b = append(b, "]}"...)
	}
	q.Out = append(b, "]}\n"...)
}
