package inference

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
