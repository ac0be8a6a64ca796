package install

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"millrace.dev/deploy/knative/account"
)

// kept are Secrets as the cluster returns them after they were applied.
func kept(t *testing.T, text []byte, but ...string) (out []object) {
	t.Helper()
	for doc := range bytes.SplitSeq(text, []byte("---\n")) {
		var s struct {
			Metadata   struct{ Name string }
			StringData map[string]string
		}
		if err := yaml.Unmarshal(doc, &s); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(but, s.Metadata.Name) {
			continue
		}
		o := object{Kind: "Secret", Data: map[string]string{}}
		o.Metadata.Name = s.Metadata.Name
		for k, v := range s.StringData {
			o.Data[k] = base64.StdEncoding.EncodeToString([]byte(v))
		}
		out = append(out, o)
	}
	return out
}

// TestUsers: an installation gets a user for every program once. Another deployment keeps them, a deleted Secret is made again
// with another key, and what is printed has no seed.
func TestUsers(t *testing.T) {
	first, err := completed("millrace", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := first.secrets()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first.made, account.Users()) || !first.changed {
		t.Errorf("made %q", first.made)
	}
	again, err := completed("millrace", kept(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if len(again.made) != 0 || again.changed || again.seeds["promote"] != first.seeds["promote"] || again.public[clusterSecret] != first.public[clusterSecret] {
		t.Errorf("a second deployment makes %q, changed %t", again.made, again.changed)
	}
	rotated, err := completed("millrace", kept(t, text, "nats-promote"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(rotated.made, []string{"promote"}) || !rotated.changed || rotated.seeds["promote"] == first.seeds["promote"] || rotated.seeds["ingest"] != first.seeds["ingest"] {
		t.Errorf("a deleted Secret: made %q, changed %t", rotated.made, rotated.changed)
	}
	var out bytes.Buffer
	if err := first.printKeys(Options{Out: &out}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "=U"); n != len(account.Users()) {
		t.Errorf("%d keys are printed:\n%s", n, &out)
	}
	for user, seed := range first.seeds {
		if strings.Contains(out.String(), seed) {
			t.Errorf("the seed of %s is printed", user)
		}
	}
	damaged := object{Kind: "Secret", Data: map[string]string{"seed": base64.StdEncoding.EncodeToString([]byte("SUnknown"))}}
	damaged.Metadata.Name = "nats-ingest"
	if _, err := completed("millrace", []object{damaged}); err == nil || !strings.Contains(err.Error(), "the Secret nats-ingest has no seed of an nkey") || strings.Contains(err.Error(), "SUnknown") {
		t.Errorf("a damaged Secret: %v", err)
	}
}
