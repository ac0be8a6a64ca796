package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestTrickle sends a byte now and then, always within the patience.
func TestTrickle(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w), patience: 500 * time.Millisecond})
		ended <- err
	}))
	t.Cleanup(web.Close)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
	if err == nil {
		_, err = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	each := time.NewTicker(50 * time.Millisecond)
	defer each.Stop()
	for range 1000 {
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "the body arrives too slowly") {
				t.Errorf("the error is %v", err)
			}
			return
		case <-each.C:
			_, _ = io.WriteString(c, "x") // after the end nobody reads it
		}
	}
	t.Error("the body was read to its end")
}

func TestBodiesFit(t *testing.T) {
	t.Parallel()
	for free, want := range map[int64]error{reserve: errDiskFull, 1 << 40: nil} {
		b := &fittingBody{ReadCloser: io.NopCloser(strings.NewReader("a,b")), free: func() (int64, error) { return free, nil }}
		if _, err := io.ReadAll(b); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("with %d bytes free: %v", free, err)
		}
	}
}
