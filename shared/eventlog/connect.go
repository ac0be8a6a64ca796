package eventlog

import (
	"errors"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// Connect connects to a NATS server, or to one of several (commas between
// their URLs). The connection is made again whenever it breaks. What may be
// secret in the URLs is in no error.
func Connect(urls string, options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(urls, append([]nats.Option{nats.MaxReconnects(-1)}, options...)...)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, errors.New("a NATS server's URL is none; write nats://host:port" + strings.Repeat(" and percent-encode the password", min(1, strings.Count(e.URL, "@"))))
	}
	return nc, err
}

// Address is where the URLs lead, for people: without users and passwords.
func Address(urls string) string {
	var out []string
	for raw := range strings.SplitSeq(urls, ",") {
		raw = strings.TrimSpace(raw)
		scheme, rest, found := strings.Cut(raw, "://")
		if !found {
			scheme, rest = "nats", raw
		}
		rest, _, _ = strings.Cut(rest, "/")
		rest, _, _ = strings.Cut(rest, "?")
		out = append(out, scheme+"://"+rest[strings.LastIndex(rest, "@")+1:])
	}
	return strings.Join(out, ",")
}
