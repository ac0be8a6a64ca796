package codec

// PeekID returns the id in the body of a V2 request without changing a byte;
// nil if the body has no id. What is wrong with the body is found by Read.
func (q *Request) PeekID() []byte { return idOf(q.json()) }

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
