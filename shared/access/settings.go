package access

import (
	"errors"
	"fmt"
	"slices"
)

// Settings are what a program reads from its environment. Its functions that
// answer people or other systems ask for a token; without one they answer
// health only.
type Settings struct {
	// The installation's token, which has every role. Callers send it as
	// Authorization: Bearer. It has at least 32 characters.
	Token string `env:"MILLRACE_TOKEN"`
	// A file that holds the token, in place of MILLRACE_TOKEN. It is read again
	// when it changes. Only its owner may be able to read it.
	TokenFile string `env:"MILLRACE_TOKEN_FILE"`
	// A file of named tokens with roles, as millrace token create writes it. It is
	// read again when it changes. Only its owner may be able to read it.
	File string `env:"MILLRACE_ACCESS_FILE"`
	// The roles of callers without a token, separated by commas: predict, upload,
	// read, operate or admin; or none. On a loopback address millrace up sets
	// predict,read.
	Anonymous []string `env:"MILLRACE_ANONYMOUS" envDefault:"none"`
}

// none means that callers without a token have no role.
const none = "none"

func (s Settings) anonymous() []string {
	return slices.DeleteFunc(slices.Clone(s.Anonymous), func(name string) bool { return name == none || name == "" })
}

// Validate reports every mistake at once.
func (s Settings) Validate() error {
	var errs []error
	if s.Token != "" && s.TokenFile != "" {
		errs = append(errs, errors.New("MILLRACE_TOKEN and MILLRACE_TOKEN_FILE are both set; set one of them"))
	}
	if s.Token != "" {
		if err := checkToken(s.Token); err != nil {
			errs = append(errs, fmt.Errorf("MILLRACE_TOKEN %w", err))
		}
	}
	if _, err := ParseRoles(s.anonymous()); err != nil {
		errs = append(errs, fmt.Errorf("MILLRACE_ANONYMOUS: %w", err))
	}
	return errors.Join(errs...)
}
