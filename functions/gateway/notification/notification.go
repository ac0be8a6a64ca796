// Package notification reads what object stores send when an object changes:
// S3 and what speaks its protocol, EventBridge, Google Cloud Storage through
// Pub/Sub or Eventarc, Azure Event Grid. It is pure: bytes in, notices out.
package notification

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"millrace.dev/events"
)

// Notice is what an object store reports of one object.
type Notice struct {
	events.Object
	// Removed means that the object was removed; otherwise its bytes are new.
	Removed bool
	// By is the kind of store: s3, minio, gcs, azure.
	By string
	// Name is the store's name for what happened, ID the notification's own.
	Name, ID string
}

// The stores whose notifications are read.
const (
	S3    = "s3"
	GCS   = "gcs"
	Azure = "azure"
)

// Parse reads a notification of the store, S3, GCS or Azure. A notification
// that is about no object's bytes, such as a test message, yields no notice.
// Folders, which some stores represent as objects, are left out. The error
// lists every mistake.
func Parse(store string, body []byte) ([]Notice, error) {
	switch store {
	case S3:
		return parseS3(body)
	case GCS:
		return parseGCS(body)
	case Azure:
		return parseAzure(body)
	}
	return nil, fmt.Errorf("the object store %.40q is not known; it must be %s, %s or %s", store, S3, GCS, Azure)
}

// ParseEvent reads a CloudEvent that a store sends. ok is false when the event
// is not a store's.
func ParseEvent(e events.Envelope) (out []Notice, ok bool, err error) {
	switch {
	case strings.HasPrefix(e.Type, gcsPrefix):
		out, err = parseGCSEvent(e)
		return out, true, err
	case e.Type == blobCreated || e.Type == blobDeleted:
		out, err = parseBlob(e.Type, e.Subject, e.ID, e.Data)
		return out, true, err
	}
	return nil, false, nil
}

// Sniff tells by a notification's members which store sent it, "" if it is
// not a notification.
func Sniff(body []byte) string {
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("[")) {
		var list []struct {
			EventType string `json:"eventType"`
		}
		if json.Unmarshal(body, &list) == nil && len(list) > 0 && list[0].EventType != "" {
			return Azure
		}
		return ""
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	has := func(names ...string) bool {
		for _, n := range names {
			if m[n] == nil {
				return false
			}
		}
		return true
	}
	switch {
	case has("Records"), has("detail-type"), has("Service", "Event"):
		return S3
	case has("message", "subscription"):
		return GCS
	}
	return ""
}

// Cause identifies the notice, however often it is sent. Stores that neither
// number their events nor version their objects are distinguished by the ETag,
// or else by the notification's id.
func (n Notice) Cause() string {
	parts := []string{"object", n.Bucket, n.Key, n.Version, n.Sequencer, n.Name}
	if n.Version == "" && n.Sequencer == "" {
		parts = append(parts, n.ETag)
		if n.ETag == "" {
			parts = append(parts, n.ID)
		}
	}
	return events.Cause(parts...)
}

// Data is the notice as an event: object.uploaded or object.removed.
func (n Notice) Data() events.Data {
	if n.Removed {
		return events.ObjectRemoved{Object: n.Object, By: n.By}
	}
	return events.ObjectUploaded{Object: n.Object, By: n.By}
}

// MaxKey is the longest key of an object, in bytes.
const MaxKey = 1024

// Validate reports every mistake in the notice.
func (n Notice) Validate() error {
	var errs []error
	scheme, name, ok := strings.Cut(n.Bucket, "://")
	if !ok || scheme != "s3" && scheme != "gs" && scheme != "azblob" {
		errs = append(errs, fmt.Errorf("bucket %.80q is not s3://, gs:// or azblob:// and a name", n.Bucket))
	} else if name == "" || len(name) > 255 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-_$") != "" {
		errs = append(errs, fmt.Errorf("bucket %.80q has no name that a bucket can have", n.Bucket))
	}
	switch {
	case n.Key == "":
		errs = append(errs, errors.New("key is missing"))
	case len(n.Key) > MaxKey:
		errs = append(errs, fmt.Errorf("key has %d bytes; at most %d are taken", len(n.Key), MaxKey))
	case !printable(n.Key):
		errs = append(errs, fmt.Errorf("key %.80q is not UTF-8 without control characters", n.Key))
	}
	for _, field := range []struct{ name, value string }{{"version", n.Version}, {"sequencer", n.Sequencer}, {"etag", n.ETag}} {
		if len(field.value) > MaxKey {
			errs = append(errs, fmt.Errorf("%s has %d characters; at most %d are taken", field.name, len(field.value), MaxKey))
		}
		if !printable(field.value) {
			errs = append(errs, fmt.Errorf("%s %.80q is not UTF-8 without control characters", field.name, field.value))
		}
	}
	if n.Size < 0 {
		errs = append(errs, fmt.Errorf("size %d is negative", n.Size))
	}
	return errors.Join(errs...)
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// checked returns the notices when all of them are well formed, else every
// mistake. It leaves out folders.
func checked(ns []Notice) ([]Notice, error) {
	var errs []error
	var out []Notice
	for i, n := range ns {
		if err := n.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("record %d: %w", i+1, err))
		}
		if !strings.HasSuffix(n.Key, "/") {
			out = append(out, n)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}
