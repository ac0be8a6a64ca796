package notification_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/notification"
)

var update = flag.Bool("update", false, "write the golden files anew")

// told is a notice in the form of the golden files.
type told struct {
	events.Object
	Removed bool   `json:"removed,omitempty"`
	By      string `json:"by"`
	Name    string `json:"name"`
}

// TestNotifications reads what the stores send, found by its members alone,
// and compares with the golden file beside it.
func TestNotifications(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ns, err := notification.Parse(notification.Sniff(body), body)
			if err != nil {
				t.Fatal(err)
			}
			got := struct {
				Notices []told `json:"notices"`
				Code    string `json:"validationCode,omitempty"`
			}{[]told{}, notification.ValidationCode(body)}
			for _, n := range ns {
				got.Notices = append(got.Notices, told{n.Object, n.Removed, n.By, n.Name})
			}
			golden(t, "testdata/"+name+".golden", got)
		})
	}
}

func golden(t *testing.T, file string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNoticesThatAreWrong(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`: "is not known; it must be s3, gcs or azure",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%zz"}}}]}`:         "not URL-encoded",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"a/b"},"object":{"key":""}}}]}`:          "key is missing",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a%0Ab"}}}]}`:       "control characters",
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a","size":-1}}}]}`: "negative",
		`{"message":{"attributes":{}},"subscription":"s"}`:                                                            "no attribute eventType",
		`{"message":null,"subscription":"s"}`:                                                                         "has no message",
		`{"message":{"data":"%%"},"subscription":"s"}`:                                                                "not a push of Pub/Sub",
		`[{"eventType":"Microsoft.Storage.BlobCreated","subject":"/x","data":{}}]`:                                    "is not /blobServices",
		`[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{}}]`:                                 "no validationCode",
	} {
		_, err := notification.Parse(notification.Sniff([]byte(body)), []byte(body))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestCauseOfANotice(t *testing.T) {
	t.Parallel()
	base := notification.Notice{Object: events.Object{Bucket: "s3://b", Key: "k", Version: "1", Sequencer: "2", ETag: "e"}, Name: "ObjectCreated:Put", ID: "x"}
	same := base
	same.ID, same.ETag = "y", "f"
	if base.Cause() != same.Cause() {
		t.Error("the same object told of twice has two causes")
	}
	for what, change := range map[string]func(*notification.Notice){
		"key": func(n *notification.Notice) { n.Key = "l" }, "version": func(n *notification.Notice) { n.Version = "2" },
		"sequencer": func(n *notification.Notice) { n.Sequencer = "3" }, "event": func(n *notification.Notice) { n.Name = "ObjectRemoved:Delete" },
	} {
		other := base
		change(&other)
		if other.Cause() == base.Cause() {
			t.Errorf("another %s has the same cause", what)
		}
	}
	bare := notification.Notice{Object: events.Object{Bucket: "s3://b", Key: "k"}, ID: "x"}
	again := bare
	again.ID = "y"
	if bare.Cause() == again.Cause() {
		t.Error("notices that only their ids tell apart have the same cause")
	}
}

// FuzzParse checks that whatever is read from any body is well formed.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, store := range []string{"", notification.S3, notification.GCS, notification.Azure} {
			f.Add(store, body)
		}
	}
	f.Fuzz(func(t *testing.T, store string, body []byte) {
		if store == "" {
			store = notification.Sniff(body)
		}
		ns, err := notification.Parse(store, body)
		if err != nil {
			return
		}
		for _, n := range ns {
			if err := n.Validate(); err != nil {
				t.Errorf("%q: %v", body, err)
			}
			if n.Removed {
				continue
			}
			if err := n.Data().Validate(); err != nil {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}
