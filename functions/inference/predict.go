package inference

// readPredict reads a request of KServe's V1 protocol: instances as objects by
// column, as lists in the order of the features, or as bare values when there
// is one feature; or inputs, a list for each column.
func (q *request) readPredict(s *served, v *version, maxRows int) error {
	c := q.begin()
	q.expect(v)
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
			return invalid("instances (or inputs) is given twice")
		}
		found = true
		if instances {
			err = q.readInstances(c, s, v, maxRows)
		} else {
			err = q.readColumns(c, s, v, maxRows)
		}
		if err != nil {
			return err
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	if !found {
		return invalid("instances is missing: a list of objects by column, or of lists in the order of the columns: %s", v.featureList())
	}
	return q.check(v, maxRows)
}

func (q *request) readInstances(c *cursor, s *served, v *version, maxRows int) error {
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
		if row == maxRows {
			return tooManyRows(maxRows)
		}
		switch ch := c.peek(); {
		case ch == '{':
			err = q.readObject(c, s, v, row)
		case ch == '[':
			err = q.readRow(c, v, row)
		case len(q.columns) == 1:
			err = q.columns[0].add(c, anyKind)
		default:
			return invalid("instance %d is %s; it must be an object by column, or a list in the order of the columns: %s", row, c.found(), v.featureList())
		}
		if err != nil {
			return err
		}
	}
}

// readObject reads one instance by the names of its columns.
func (q *request) readObject(c *cursor, s *served, v *version, row int) error {
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
		column := q.column(v, key)
		switch {
		case column != nil && column.rows > row:
			return invalid("instance %d has column %s twice", row, key)
		case column != nil:
			got++
			err = column.add(c, anyKind)
		case s.ignores(key):
			err = c.skip(0)
		default:
			return invalid("instance %d: there is no column %q; version %s of %s reads %s", row, key, v.text, v.pipeline, v.featureList())
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
			return &mistake{code: 400, missing: col.Name,
				text: "instance " + string(appendInt(nil, row)) + " lacks column " + col.Name + "; null says that a value is missing. The columns are " + v.featureList()}
		}
	}
	return nil
}

// readRow reads one instance in the order of the features.
func (q *request) readRow(c *cursor, v *version, row int) error {
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
		return invalid("instance %d has %d values; the columns are %d: %s", row, n, len(q.columns), v.featureList())
	}
	return nil
}

// readColumns reads an object with a list for each column.
func (q *request) readColumns(c *cursor, s *served, v *version, maxRows int) error {
	if err := c.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, more, err := c.key(first)
		if !more {
			return err
		}
		column := q.column(v, key)
		switch {
		case column != nil && column.given:
			return invalid("column %s is given twice", key)
		case column != nil:
			column.given = true
			err = column.list(c, anyKind, maxRows, 1)
		case s.ignores(key):
			err = c.skip(0)
		default:
			return invalid("there is no column %q; version %s of %s reads %s", key, v.text, v.pipeline, v.featureList())
		}
		if err != nil {
			return err
		}
	}
}

// writePredict writes the answer: a number for each row of a regression, label
// and probabilities for each row of a classification.
func (q *request) writePredict(v *version) {
	b := append(q.out[:0], `{"predictions":[`...)
	for row := range q.rows {
		if row > 0 {
			b = append(b, ',')
		}
		values := q.scores.Row(row)
		if len(v.classes) == 0 {
			b = appendFloat(b, values[0], v.bits)
			continue
		}
		b = append(b, `{"label":`...)
		b = append(b, v.classes[q.labels[row]]...)
		b = append(b, `,"probabilities":[`...)
		for i, p := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendFloat(b, p, v.bits)
		}
		b = append(b, "]}"...)
	}
	q.out = append(b, "]}\n"...)
}
