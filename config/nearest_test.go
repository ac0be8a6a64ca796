package config_test

import (
	"testing"

	"millrace.dev/config"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"flights", "iris", "wine"}
	for name, want := range map[string]string{"flight": "flights", "filghts": "flights", "irs": "iris", "weather": "", "": "", "xyz": ""} {
		if got := config.Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
