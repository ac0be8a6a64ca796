package source

// counter counts the records of a CSV text independently of csvReader: it looks
// at each byte once and keeps no text. What was read is held against it, so that
// a record that is lost or invented by either of them does not pass.
type counter struct {
	comma, quote, comment byte

	state   int
	begun   bool // the line has something
	cr      bool // the last byte was a CR outside quotes
	records int64
	blank   int64 // empty lines after the first record
}

// The states of counter.
const (
	atValue = iota
	inValue
	inQuotes
	afterQuote
	inComment
)

func (c *counter) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case c.state == inQuotes:
			if b == c.quote {
				c.state = afterQuote
			}
			continue
		case b == '\n' && c.cr: // of a CRLF
		case b == '\n' || b == '\r':
			c.endLine()
		case c.state == inComment:
		case !c.begun && b == c.comment && c.comment != 0:
			c.begun, c.state = true, inComment
		default:
			c.step(b)
		}
		c.cr = b == '\r'
	}
	return len(p), nil
}

func (c *counter) step(b byte) {
	c.begun = true
	switch {
	case b == c.comma:
		c.state = atValue
	case b == c.quote && c.quote != 0 && (c.state == atValue || c.state == afterQuote):
		c.state = inQuotes
	default:
		c.state = inValue
	}
}

func (c *counter) endLine() {
	switch {
	case c.state == inComment:
	case c.begun:
		c.records++
	case c.records > 0:
		c.blank++
	}
	c.state, c.begun = atValue, false
}

// finish returns the number of records once all is written. In a file of a
// single column empty lines are records too.
func (c *counter) finish(single bool) int64 {
	if c.begun {
		c.endLine()
	}
	if single {
		return c.records + c.blank
	}
	return c.records
}
