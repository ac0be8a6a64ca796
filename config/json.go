package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// JSON returns the pipeline's canonical JSON: every default filled in, keys in
// one order. It is what trainers read and what the digest is made of.
func (p *Pipeline) JSON() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		// Everything in a Pipeline came out of a document and has a JSON form.
		panic(fmt.Sprintf("config: write pipeline %s as JSON: %v", p.Name(), err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// FromJSON reads a pipeline that JSON wrote, also one of another version:
// unknown fields are passed over, and what is missing or does not fit gets its
// default. It checks nothing, since the pipeline was checked when it was
// loaded; it fails only when data is no JSON object.
func FromJSON(data []byte) (*Pipeline, error) {
	n, err := parseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("read pipeline: %w", err)
	}
	if n.kind != kindMap {
		return nil, fmt.Errorf("read pipeline: JSON is %s and must be an object", n.kind)
	}
	p := new(Pipeline)
	newDecoder("", true).object(n, reflect.ValueOf(p).Elem(), "")
	p.fill()
	return p, nil
}
