package artifact

import (
	"errors"
	"net/url"
	"strings"
)

// unsecret takes out of an error about a store's URL what may be secret in it:
// its user, and the values of its parameters.
func unsecret(err error, raw string) error {
	if err == nil {
		return nil
	}
	u, parseErr := url.Parse(raw)
	if parseErr != nil {
		// The error of a URL that is none tells the whole of it.
		if e, ok := errors.AsType[*url.Error](parseErr); ok && raw != "" {
			return hidden{strings.ReplaceAll(err.Error(), e.Error(), "the URL is none: "+reason(e.Err)), err}
		}
		return err
	}
	text := err.Error()
	if u.User != nil {
		text = strings.ReplaceAll(text, u.User.String()+"@", "")
		if password, ok := u.User.Password(); ok && password != "" {
			text = strings.ReplaceAll(text, password, "...")
		}
	}
	if u.RawQuery != "" {
		text = strings.ReplaceAll(text, u.RawQuery, "...")
		for _, values := range u.Query() {
			for _, v := range values {
				if len(v) >= shortestSecret {
					text = strings.ReplaceAll(text, v, "...")
				}
			}
		}
	}
	return hidden{text, err}
}

// shortestSecret is the length from which a parameter's value may be a secret;
// shorter ones are words of the message itself.
const shortestSecret = 8

// reason is why a URL is none, without the part of it that is wrong.
func reason(err error) string {
	what, _, _ := strings.Cut(err.Error(), " \"")
	return what
}

// hidden is an error of which the text has been cleaned.
type hidden struct {
	text string
	error
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.error }
