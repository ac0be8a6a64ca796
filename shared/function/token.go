package function

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// Token is the word that lets a caller in. The zero value lets everyone in.
// Only its digest is kept.
type Token struct {
	sum [sha256.Size]byte
	set bool
}

// ReadToken takes the token from its value or from a file, of which blanks at
// both ends are no part; the zero Token if neither is given.
func ReadToken(value, file string) (Token, error) {
	switch {
	case value != "" && file != "":
		return Token{}, errors.New("MILLRACE_TOKEN and MILLRACE_TOKEN_FILE are both set; one of them says the token")
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return Token{}, fmt.Errorf("read the token: %w", err)
		}
		if value = strings.TrimSpace(string(b)); value == "" {
			return Token{}, fmt.Errorf("the token file %s is empty", file)
		}
	case value == "":
		return Token{}, nil
	}
	return Token{sha256.Sum256([]byte(value)), true}, nil
}

// Set tells whether callers need the token.
func (t Token) Set() bool { return t.set }

// Admits tells whether the request carries the token, as Authorization: Bearer.
// It takes as long for a wrong token as for the right one.
func (t Token) Admits(r *http.Request) bool {
	if !t.set {
		return true
	}
	scheme, word, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(word)))
	return strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}
