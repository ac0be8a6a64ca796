package checker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Manifests reads the list of partitions that each snapshot has among the
// artifacts in the folder, and holds it against the log: a run trains on what
// is listed.
func Manifests(dir string, log []Event) ([]Violation, error) {
	var out []Violation
	pipelines := map[string]*pipeline{}
	for _, e := range log {
		p := pipelines[e.Pipeline]
		if p == nil {
			p = newPipeline()
			pipelines[e.Pipeline] = p
		}
		quiet := func(string, string, ...any) {} // Check has said it
		p.fold(e, quiet)
		if e.Kind() != "dataset.validated" || e.Attributes["retryof"] != "" {
			continue
		}
		d := read[struct{ Manifest ref }](e, quiet)
		b, err := os.ReadFile(artifact(dir, d.Manifest))
		if err != nil {
			return nil, err
		}
		var listed []struct {
			Object object
			Data   ref
		}
		if err := json.Unmarshal(b, &listed); err != nil {
			return nil, fmt.Errorf("the manifest of event %d: %w", e.Sequence, err)
		}
		var got, want []string
		for _, l := range listed {
			got = append(got, l.Object.name()+" "+l.Data.Digest)
		}
		for _, m := range p.members {
			want = append(want, m.name+" "+m.digest)
		}
		if !slices.Equal(got, want) {
			out = append(out, Violation{e.Sequence, "a manifest lists the snapshot", fmt.Sprintf("%s has %q and should have %q", e.Pipeline, got, want)})
		}
	}
	return out, nil
}

// artifact is the file of a reference.
func artifact(dir string, r ref) string {
	digits := strings.TrimPrefix(r.Digest, "sha256:")
	return filepath.Join(dir, "artifacts", "sha256", digits[:min(2, len(digits))], digits+filepath.Ext(r.URL))
}
