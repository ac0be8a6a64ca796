package grpcapi

import (
	"testing"
	"time"
)

func TestTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"5S": 5 * time.Second, "100m": 100 * time.Millisecond, "99999999H": 0, "": 0, "x": -1, "1x": -1, "123456789S": -1, "-1S": -1} {
		ctx, cancel, err := withTimeout(t.Context(), text)
		if err != nil {
			if want >= 0 {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		at, bounded := ctx.Deadline()
		cancel()
		if want < 0 || bounded != (want > 0) || bounded && time.Until(at) > want {
			t.Errorf("%q: %v %v", text, at, bounded)
		}
	}
}
