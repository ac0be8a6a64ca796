package gateway

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplayURL(t *testing.T) {
	t.Parallel()
	pod := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(pod, []byte("# of a pod\nsearch ml.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	laptop := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(laptop, []byte("nameserver 192.0.2.1\nsearch example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ address, file, want string }{
		{"http://replay", pod, "http://replay.ml.svc.cluster.local"},
		{"http://replay:8080", pod, "http://replay.ml.svc.cluster.local:8080"},
		{"http://replay.other.svc.cluster.local", pod, "http://replay.other.svc.cluster.local"},
		{"http://127.0.0.1:8081", pod, "http://127.0.0.1:8081"},
		{"http://localhost:8081", pod, "http://localhost:8081"},
		{"http://replay", laptop, "http://replay"},
		{"http://replay", laptop + ".none", "http://replay"},
		{"replay", pod, ""},
		{"ftp://replay", pod, ""},
		{"http://replay/path", pod, ""},
	} {
		got, err := replayURL(tt.address, tt.file)
		if (err != nil) != (tt.want == "") || err == nil && got.String() != tt.want {
			t.Errorf("%s is %v, %v; want %q", tt.address, got, err, tt.want)
		}
	}
}
