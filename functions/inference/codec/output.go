package codec

// readOutputs reads which outputs are asked for.
func (q *Request) readOutputs(c *cursor) error {
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
		if err := q.readOutput(c); err != nil {
			return err
		}
	}
}

func (q *Request) readOutput(c *cursor) error {
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
				out.at, err = q.schema.output(name)
			}
		case "parameters":
			err = c.plain("parameter", func(name, value []byte) error {
				if string(name) != "binary_data" {
					return checkParameter("an output: ", name, value)
				}
				out.binary = inJSON
				if string(value) == "true" {
					out.binary = inBinary
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
	return q.ask(out)
}

// ask takes an output into those that are asked for.
func (q *Request) ask(out asked) error {
	if out.at < 0 {
		return Invalid("an output has no name; the outputs are %s", q.schema.outputList())
	}
	if len(q.outputs) == maxOutputs {
		return Invalid("more than %d outputs are asked for; there are %d", maxOutputs, len(q.schema.Outputs))
	}
	q.outputs = append(q.outputs, out)
	return nil
}

// maxOutputs bounds how often an output may be asked for.
const maxOutputs = 8

// writeInfer writes the answer.
func (q *Request) writeInfer(route string) {
	b := append(q.Out[:0], `{"model_name":`...)
	b = appendString(b, q.schema.Model)
	b = append(b, `,"model_version":"`...)
	b = append(b, q.schema.Version...)
	b = append(b, `","id":`...)
	b = appendString(b, view(q.ID))
	b = append(b, `,"parameters":{`...)
	if len(q.parameters) > 0 {
		b = append(b, q.parameters...)
		b = append(b, ',')
	}
	b = append(b, `"route":"`...)
	b = append(b, route...)
	b = append(b, '"')
	if len(q.Undefined) > 0 {
		b = append(b, `,"errors":`...)
		b = appendString(b, q.UndefinedText())
	}
	b = append(b, `},"outputs":[`...)
	outputs := q.wanted()
	for i, o := range outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = q.appendOutput(b, &q.schema.Outputs[o.at], q.isBinary(o))
	}
	b = append(b, "]}\n"...)
	end := len(b)
	for _, o := range outputs {
		if q.isBinary(o) {
			q.outJSON = end
			b = q.appendRaw(b, &q.schema.Outputs[o.at])
		}
	}
	q.Out = b
}

// wanted are the outputs that the answer has.
func (q *Request) wanted() []asked {
	if len(q.outputs) > 0 {
		return q.outputs
	}
	return q.schema.all
}

func (q *Request) isBinary(o asked) bool {
	return o.binary == inBinary || o.binary == asOthers && q.binary
}

func (q *Request) appendOutput(b []byte, o *Tensor, binary bool) []byte {
	b = append(b, `{"name":"`...)
	b = append(b, o.Name...)
	b = append(b, `","shape":[`...)
	b = appendInt(b, q.Rows)
	if len(o.Shape) == 2 {
		b = append(b, ',')
		b = appendInt(b, int(o.Shape[1]))
	}
	b = append(b, `],"datatype":"`...)
	b = append(b, o.Datatype...)
	if binary {
		b = append(b, `","parameters":{"binary_data_size":`...)
		b = appendInt(b, q.rawSize(o))
		return append(b, "}}"...)
	}
	b = append(b, `","data":[`...)
	if o.Name == outputLabel {
		for i, class := range q.Labels {
			if i > 0 {
				b = append(b, ',')
			}
			b = q.appendLabel(b, class)
		}
		return append(b, "]}"...)
	}
	for i, x := range q.Scores.Values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFloat(b, x, q.schema.bits)
	}
	return append(b, "]}"...)
}

// appendLabel writes a class as JSON: null for an undefined row.
func (q *Request) appendLabel(b []byte, class int) []byte {
	if class < 0 {
		return append(b, "null"...)
	}
	return append(b, q.schema.classes[class]...)
}

// label returns the name of a class, "" for an undefined row.
func (q *Request) label(class int) string {
	if class < 0 {
		return ""
	}
	return q.schema.Contract.Classes[class]
}
