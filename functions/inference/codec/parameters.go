package codec

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// contentTypes are MLServer's names of how values are written that say what the
// datatype says already.
var contentTypes = []string{"np", "pd", "str", "datetime"}

// checkParameter refuses a parameter that would change what a request or its
// answer means, and that is not followed. where is "" for the request, or names
// the input or output. value is as it is written, in JSON.
func checkParameter(where string, name, value []byte) error {
	text := view(value)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	switch view(name) {
	case "content_type":
		if text == "" || text == "null" || slices.Contains(contentTypes, text) {
			return nil
		}
		return Invalid("%sparameter content_type is %q, which is not supported; send the values themselves by the datatype, and %s or no content_type",
			where, text, strings.Join(contentTypes, ", "))
	case "sequence_id":
		if text == "" || text == "null" || text == "0" {
			return nil
		}
		return Invalid("%sparameter sequence_id is not supported: each request is answered without regard to earlier ones; leave it out", where)
	case "classification":
		if text == "null" || text == "0" {
			return nil
		}
		return Invalid("%sparameter classification is not supported; the outputs label and probabilities have the classes", where)
	case "shared_memory_region":
		return Invalid("%sparameter shared_memory_region is not supported; send and read the values in the messages", where)
	}
	return nil
}

// ofInput names an input before what is wrong with it.
func ofInput(name []byte) string {
	if len(name) == 0 {
		return "an input: "
	}
	return "input " + view(name) + ": "
}

// checkEntries checks parameters of a message, each an entry of a map.
func checkEntries(where string, message wire, number protowire.Number) error {
	var f field
	for w := message; len(w) > 0; {
		if err := w.next(&f); err != nil {
			return err
		}
		if !f.is(number) {
			continue
		}
		if err := checkParameter(where, keyOf(f.bytes), parameterOf(f.bytes)); err != nil {
			return err
		}
	}
	return nil
}

// parameterOf is the value of a parameter as text.
func parameterOf(entry []byte) (text []byte) {
	var f, inner field
	for w := wire(entry); len(w) > 0 && w.next(&f) == nil; {
		if !f.is(entryValue) {
			continue
		}
		for v := wire(f.bytes); len(v) > 0 && v.next(&inner) == nil; {
			switch {
			case inner.is(parameterText):
				text = inner.bytes
			case inner.kind == protowire.VarintType:
				text = strconv.AppendUint(nil, inner.n, 10)
			}
		}
	}
	return text
}
