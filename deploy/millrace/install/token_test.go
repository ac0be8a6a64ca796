package install

import (
	"bytes"
	"testing"

	"millrace.dev/shared/access"
)

// The first installation makes a token that the functions take; a second one
// finds it, and so does one whose people have set their own.
func TestTokenSecret(t *testing.T) {
	t.Parallel()
	text, err := newTokenSecret("millrace")
	if err != nil {
		t.Fatal(err)
	}
	made := kept(t, text)
	if len(made) != 1 || !hasToken(made) || hasToken(nil) {
		t.Fatalf("%+v", made)
	}
	token, err := decode(made[0].Data[tokenKey])
	if err != nil {
		t.Fatal(err)
	}
	if err := (access.Settings{Token: token}).Validate(); err != nil {
		t.Error(err)
	}
	other, err := newTokenSecret("millrace")
	if err != nil || bytes.Equal(other, text) {
		t.Errorf("another installation has the same token: %v", err)
	}
	for name, want := range map[string]bool{"millrace": true, "somebody-elses": false} {
		made[0].Metadata.Name = name
		if got := hasToken(made); got != want {
			t.Errorf("the Secret %s: %t, want %t", name, got, want)
		}
	}
}
