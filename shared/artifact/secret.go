package artifact

import (
	"errors"
	"net/url"
	"strings"
)

// unsecret removes from an error about a store's URL what may be secret: its
// user, and the values of its parameters.
func unsecret(err error, raw string) error {
	if err == nil {
		return nil
	}
	u, parseErr := url.Parse(raw)
	if parseErr != nil {
		// url.Parse errors contain the whole URL, secrets included.
		if e, ok := errors.AsType[*url.Error](parseErr); ok && raw != "" {
			return hidden{strings.ReplaceAll(err.Error(), e.Error(), "invalid URL: "+reason(e.Err)), err}
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

// reason returns why a URL is invalid, without quoting it.
func reason(err error) string {
	what, _, _ := strings.Cut(err.Error(), " \"")
	return what
}

// hidden is an error with a cleaned text.
type hidden struct {
	text string
	error
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.error }
