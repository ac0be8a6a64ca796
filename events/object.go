package events

import (
	"fmt"
	"strings"
)

// Object names one object in a bucket.
type Object struct {
	// Bucket is the bucket's URL without a path ("s3://landing"), empty for
	// what came through the gateway's own upload door.
	Bucket string `json:"bucket,omitempty"`
	// Key is the object's name in the bucket, decoded.
	Key string `json:"key"`
	// Version and Sequencer are the store's, where it has them; Sequencer
	// orders the events of one key.
	Version   string `json:"version,omitempty"`
	Sequencer string `json:"sequencer,omitempty"`
	ETag      string `json:"etag,omitempty"`
	// Size in bytes, as the notification said; 0 if it did not.
	Size int64 `json:"size,omitempty"`
}

// Name is the object's bucket and key as one word.
func (o Object) Name() string {
	if o.Bucket == "" {
		return o.Key
	}
	return o.Bucket + "/" + o.Key
}

func (o Object) validate(m *mistakes) {
	m.required("key", o.Key)
	m.add(len(o.Key) <= 1024, "key has %d characters; at most 1024 are taken", len(o.Key))
	m.add(o.Size >= 0, "size %d is negative", o.Size)
}

// ObjectUploaded says that an object has arrived or has been replaced. The
// gateway sends it for an upload or a store's notification, once into each
// pipeline that wants the key; ingest for what a sweep found; inference for
// labels that it took as feedback.
type ObjectUploaded struct {
	Object
	// Content is set when the bytes came through the gateway and lie in the
	// artifact store; else they are read from the bucket.
	Content Ref `json:"content,omitzero"`
	// By says how the object was noticed: upload, s3, minio, gcs, azure, sweep;
	// feedback for labels that inference took.
	By string `json:"by,omitempty"`
}

func (ObjectUploaded) EventType() string      { return "dev.millrace.object.uploaded.v1" }
func (d ObjectUploaded) EventSubject() string { return "object/" + d.Key }
func (d ObjectUploaded) Validate() error {
	var m mistakes
	d.validate(&m)
	if !d.Content.IsZero() {
		m.ref("content", d.Content)
	}
	m.add(d.Bucket != "" || !d.Content.IsZero(), "bucket and content are missing: one of them says where the bytes are")
	return m.err()
}

// ObjectRemoved says that an object is gone, so that its partition leaves the
// dataset. The gateway sends it for a DELETE or a store's notification; ingest
// for what a sweep no longer found.
type ObjectRemoved struct {
	Object
	By string `json:"by,omitempty"`
}

func (ObjectRemoved) EventType() string      { return "dev.millrace.object.removed.v1" }
func (d ObjectRemoved) EventSubject() string { return "object/" + d.Key }
func (d ObjectRemoved) Validate() error {
	var m mistakes
	d.validate(&m)
	return m.err()
}

// Problem is one reason why a partition was refused, or one warning.
type Problem struct {
	// Check is the rule's name: a column's rule ("values", "min", "type"),
	// a named check of the pipeline file, or "readable".
	Check  string `json:"check"`
	Column string `json:"column,omitempty"`
	// Reason is one sentence for a person.
	Reason string `json:"reason"`
	// Count is the number of rows that break the rule, Fraction their share
	// and Allowed the share that was allowed.
	Count    int64   `json:"count,omitempty"`
	Fraction float64 `json:"fraction,omitempty"`
	Allowed  float64 `json:"allowed,omitempty"`
	// Examples are up to 20 rows that break the rule; "_row" is the row's
	// number from 1, for "readable" that of the line if the file has lines.
	Examples []map[string]any `json:"examples,omitempty"`
}

// String returns the reason, and before it the column unless the reason names it.
func (p Problem) String() string {
	if p.Column != "" && !strings.Contains(p.Reason, fmt.Sprintf("column %q", p.Column)) {
		return fmt.Sprintf("%s: %s", p.Column, p.Reason)
	}
	return p.Reason
}
