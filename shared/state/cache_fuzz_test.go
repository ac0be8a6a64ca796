package state

import (
	"encoding/json"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzCached reads cache entries that anybody may have written: what cannot be
// read is an error, and what can be read can be written and read again.
func FuzzCached(f *testing.F) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUncompressed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	c := &cache{dec: dec}
	for _, entry := range []string{
		`{"sequence":7,"guards":{"dataset":3},"pipeline":{"name":"flights"},"log":"2026-03-01T02:00:00Z"}`,
		`{"pipeline":null}`, `{"pipeline":{"runs":[null]}}`, `[]`, ``, `{`,
	} {
		f.Add([]byte(entry), true)
		f.Add([]byte(entry), false)
	}
	f.Fuzz(func(t *testing.T, entry []byte, compress bool) {
		if compress {
			var err error
			if entry, err = pack(entry); err != nil {
				t.Fatal(err)
			}
		}
		got, err := c.decode(entry)
		if err != nil {
			return
		}
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("read and cannot be written: %v", err)
		}
		if b, err = pack(b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.decode(b); err != nil {
			t.Fatalf("written and cannot be read: %v", err)
		}
	})
}
