package functiontest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update-golden", false, "rewrite the golden files of functiontest.Golden")

// Golden compares got with the file. With -update-golden it writes the file.
func Golden(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		must(t, os.MkdirAll(filepath.Dir(file), 0o750))
		must(t, os.WriteFile(file, []byte(got), 0o600))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; if the change is meant, run the test with -update-golden and tell users in the changelog. Now:\n%s", file, got)
	}
}

// described is the part of a prometheus.Desc's text that users rely on.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)".*variableLabels: (\{.*\})\}$`)

// Metrics lists what is registered, including metrics without values: a line
// for each metric with its name and labels, sorted. Metrics of the process and
// of the Go runtime are left out.
func Metrics(registry *prometheus.Registry) string {
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	var lines []string
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		switch {
		case m == nil:
			lines = append(lines, d.String()+"\n")
		case !strings.HasPrefix(m[1], "go_") && !strings.HasPrefix(m[1], "process_"):
			lines = append(lines, m[1]+m[2]+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
