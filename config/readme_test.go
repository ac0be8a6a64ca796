package config_test

import (
	"os"
	"strings"
	"testing"

	"millrace.dev/config"
)

// The pipelines that the READMEs show are valid.
func TestREADMEs(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"README.md", "../README.md"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, found := strings.Cut(string(text), "```yaml\n")
			shown, _, ends := strings.Cut(rest, "```")
			if !found || !ends {
				t.Fatal("the page shows no pipeline between ```yaml and ```")
			}
			if _, err := config.Parse(file, []byte(shown)); err != nil {
				t.Error(err)
			}
		})
	}
}
