package failpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const program = `package main

import (
	"fmt"

	"millrace.dev/shared/failpoint"
)

func main() {
	for i := range 3 {
		fmt.Println(i)
		failpoint.Hit("here")
	}
}
`

// TestHit runs a program with the tag and without it.
func TestHit(t *testing.T) {
	source := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tags := range []string{"failpoints", ""} {
		binary := filepath.Join(t.TempDir(), "program")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", binary, source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		mark := filepath.Join(t.TempDir(), "mark")
		run := func(point string) string {
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.Env = append(os.Environ(), "MILLRACE_FAILPOINT="+point, "MILLRACE_FAILPOINT_MARK="+mark)
			out, err := cmd.Output()
			said := strings.ReplaceAll(string(out), "\n", "")
			if err != nil {
				said += " " + err.Error()
			}
			return said
		}
		want := [][2]string{{"elsewhere:1", "012"}, {"here:2", "012"}, {"here:1", "012"}}
		if tags != "" {
			want[1][1] = "01 signal: killed" // and never again, with the mark there
		}
		for _, w := range want {
			if got := run(w[0]); got != w[1] {
				t.Errorf("tags %q, %s: %q, want %q", tags, w[0], got, w[1])
			}
		}
		if b, err := os.ReadFile(mark); (err == nil) != (tags != "") || err == nil && string(b) != "here\n" {
			t.Errorf("tags %q: the mark says %q, %v", tags, b, err)
		}
	}
}
