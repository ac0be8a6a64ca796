package codec

import (
	"math"
	"strconv"
	"testing"
)

func TestFloat16(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint16]float64{
		0x0000: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: math.Ldexp(1, -24), 0x0400: math.Ldexp(1, -14), 0x3555: 0.333251953125,
		0x7c00: math.Inf(1), 0xfc00: math.Inf(-1),
	} {
		if got := float16(bits); got != want {
			t.Errorf("%#04x is %v, want %v", bits, got, want)
		}
	}
	if !math.IsNaN(float16(0x7e00)) {
		t.Error("0x7e00 is a number")
	}
}

func FuzzReadBinary(f *testing.F) {
	sc := sketch()
	header := `{"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},` +
		`{"name":"i","shape":[2,1],"datatype":"UINT16","parameters":{"binary_data_size":4}},{"name":"f","shape":[2],"datatype":"FP16","parameters":{"binary_data_size":4}},` +
		`{"name":"b","shape":[2],"datatype":"BOOL","parameters":{"binary_data_size":2}},{"name":"t","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":50}}]}`
	body := []byte(header + "\x01\x00\x00\x00a\x02\x00\x00\x00ü" + "\x01\x00\x02\x00" + "\x00\x3c\x00\x40" + "\x01\x00" +
		"\x14\x00\x00\x002013-01-01T00:00:00Z" + "\x16\x00\x00\x002013-01-01T00:00:00.5Z")
	size := strconv.Itoa(len(header))
	f.Add(body, size)
	f.Add([]byte("abc"), "0")
	f.Add([]byte("abc"), "-1")
	q := &Request{}
	load(q, body)
	must(f, q.Split(size))
	must(f, q.Read(sc, Call{}, limits))
	f.Fuzz(func(t *testing.T, b []byte, header string) {
		load(q, b)
		if q.Split(header) == nil && q.Read(sc, Call{}, limits) == nil {
			checkDecoded(t, q)
		}
	})
}
