package codec

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]number{
		"0": {0, 0, true}, "-0": {0, 0, true}, "17": {17, 17, true}, "-17": {-17, -17, true},
		"1.5": {f: 1.5}, "1.0": {1, 1, true}, "1e3": {1000, 1000, true}, "-1.25E-2": {f: -0.0125},
		"0.1": {f: 0.1}, "3.141592653589793": {f: math.Pi}, "123456789012345678": {123456789012345678, 123456789012345678, true},
		"9223372036854775807": {math.MaxInt64, math.MaxInt64, true}, "9223372036854775808": {f: 9223372036854775808},
		"5e-324": {f: 5e-324}, "1.7976931348623157e308": {f: math.MaxFloat64}, "12345678901234567890.5": {f: 12345678901234567890.5},
		"9007199254740993": {9007199254740992, 9007199254740993, true},
	} {
		c := &cursor{b: []byte(text)}
		if got, err := c.number(); err != nil || got != want || c.at != len(text) {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "01", "1.", ".5", "1e", "1e+", "+1", "1e400", "--1"} {
		c := &cursor{b: []byte(text)}
		if got, err := c.number(); err == nil && c.at == len(text) {
			t.Errorf("%s is %+v", text, got)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1", "-1.5e10", "0.1", "123456789012345678901234567890", "1e-400", "4.9e-324"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := &cursor{b: []byte(s)}
		got, err := c.number()
		if err != nil || c.at < len(s) {
			return
		}
		var want float64
		if err := json.Unmarshal([]byte(s), &want); err != nil {
			t.Fatalf("%q is %+v; encoding/json says %v", s, got, err)
		}
		if got.f != want {
			t.Fatalf("%q is %v; encoding/json says %v", s, got.f, want)
		}
		if got.whole && float64(got.i) != want {
			t.Fatalf("%q is %d; encoding/json says %v", s, got.i, want)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u00fc\ud83d\ude00\ud800\n\/"`, `"ü"`, "\"\xff\"", `"\`, `"\u12`, `"\ud83d\u0041"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &cursor{b: slices.Clone(b)}
		got, err := c.text()
		var want string
		wrong := json.Unmarshal(b, &want)
		switch {
		case err == nil && c.end() == nil && wrong != nil:
			t.Fatalf("%q is %q; encoding/json says %v", b, got, wrong)
		case err == nil && wrong == nil && string(got) != want:
			t.Fatalf("%q is %q; encoding/json says %q", b, got, want)
		case err != nil && wrong == nil && len(bytes.TrimSpace(b)) > 0 && bytes.TrimSpace(b)[0] == '"' && !strings.ContainsRune(want, '\ufffd'):
			t.Fatalf("%q: %v; encoding/json says %q", b, err, want)
		}
	})
}

func FuzzSkip(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}],"c":"\"x"}`, `[`, `{"a"`, `[1,]`, `nul`, `-Infinity`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		c := &cursor{b: b}
		err := c.skip(0)
		if !bytes.Equal(b, before) {
			t.Fatalf("%q became %q", before, b)
		}
		depth := bytes.Count(b, []byte("[")) + bytes.Count(b, []byte("{"))
		if json.Valid(b) && (err != nil || c.end() != nil) && depth < maxDepth && len(b) < 300 && !bytes.ContainsAny(b, "eE") { // 1e400 is JSON and no number of ours, however it is written
			t.Fatalf("%q: %v", b, err)
		}
	})
}
