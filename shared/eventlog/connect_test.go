package eventlog_test

import (
	"strings"
	"testing"

	"millrace.dev/shared/eventlog"
)

func TestAddressHasNoSecrets(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]string{
		"nats://127.0.0.1:4222":                          "nats://127.0.0.1:4222",
		"nats://user:hunter2@a:1, tls://hunter2@b:2/x?y": "nats://a:1,tls://b:2",
		"user:hunter2@a:1":                               "nats://a:1",
		"nats://user:hun%zzter2@a":                       "nats://a",
		"nats://user:h@nter2@a":                          "nats://a",
	} {
		if got := eventlog.Address(urls); got != want {
			t.Errorf("%s: %s, want %s", urls, got, want)
		}
	}
}

func TestConnectKeepsSecrets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"nats://user:hunter2%zz@127.0.0.1:1", "nats://user:hunter2@127.0.0.1:1", "nats://hunter2@127.0.0.1:1", "nats://user:hunter2@127.0.0.1:1x"} {
		nc, err := eventlog.Connect(url)
		if err == nil {
			nc.Close()
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
