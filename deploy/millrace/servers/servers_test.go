package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"millrace.dev/shared/access"
)

func TestToken(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	file, token := filepath.Join(t.TempDir(), "token"), access.NewToken()
	if err := access.WriteToken(file, token); err != nil {
		t.Fatal(err)
	}
	remove, err := Register("http://127.0.0.1:4711", file)
	if err != nil {
		t.Fatal(err)
	}
	for server, want := range map[string]string{
		"http://127.0.0.1:4711": token, "http://localhost:4711/": token, "http://[::1]:4711": token,
		"http://127.0.0.1:4712": "", "http://example.com:4711": "", "http://127.0.0.1.example.com:4711": "", "http://127.0.0.1": "", "%": "",
	} {
		if got := Token(server); got != want {
			t.Errorf("%s: %q, want %q", server, got, want)
		}
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Token("http://127.0.0.1:4711"); got != "" {
		t.Error("a file that others can read is used")
	}
	remove()
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Token("http://127.0.0.1:4711"); got != "" {
		t.Error("a removed note is used")
	}
}

// Another program may listen on the port of a process that was killed.
func TestTokenOfAKilledProcess(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if running(ended.Process.Pid) || !running(os.Getpid()) {
		t.Error("an ended process is running, or this one is not")
	}
}
