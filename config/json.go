package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// JSON returns the pipeline's canonical JSON: every default filled in, keys in
// one order. Trainers read it, and the digest is computed over it.
func (p *Pipeline) JSON() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		// Every value in a Pipeline was decoded from a document and can be encoded.
		panic(fmt.Sprintf("config: write pipeline %s as JSON: %v", p.Name(), err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// FromJSON decodes a pipeline that JSON wrote, possibly in another version:
// unknown fields are ignored, and missing or unsuitable values get their
// defaults. It does not validate, since the pipeline was checked when it was
// loaded. It fails only if data is not a JSON object.
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
