package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"millrace.dev/events"
)

// s3Body is what S3 sends, in three forms: the records of S3 and of what
// speaks its protocol, the first message after a configuration (Event
// s3:TestEvent), and an event of EventBridge.
type s3Body struct {
	Records []s3Record `json:"Records"`
	Event   string     `json:"Event"`

	ID         string `json:"id"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"etag"`
			Version   string `json:"version-id"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
		DeletionType string `json:"deletion-type"`
	} `json:"detail"`
}

type s3Record struct {
	EventSource string            `json:"eventSource"`
	EventName   string            `json:"eventName"`
	EventTime   string            `json:"eventTime"`
	Response    map[string]string `json:"responseElements"`
	S3          struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			Version   string `json:"versionId"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

// parseS3 reads a notification of S3, MinIO or EventBridge.
func parseS3(body []byte) ([]Notice, error) {
	var b s3Body
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("this is not a notification of S3: %w", err)
	}
	switch {
	case b.Event == "s3:TestEvent":
		return nil, nil
	case b.DetailType != "":
		return parseEventBridge(b)
	case b.Records == nil:
		return nil, errors.New("this is not a notification of S3: it has neither Records nor a detail-type")
	}
	var out []Notice
	for i, r := range b.Records {
		removed, wanted := s3Event(r.EventName)
		if !wanted {
			continue
		}
		// Keys are encoded as in a query, with + for a space.
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			return nil, fmt.Errorf("record %d: key %.80q is not URL-encoded", i+1, r.S3.Object.Key)
		}
		by := "s3"
		if strings.HasPrefix(r.EventSource, "minio:") {
			by = "minio"
		}
		o := r.S3.Object
		if strings.HasSuffix(r.EventName, ":DeleteMarkerCreated") {
			o.Version = "" // It is the marker's, and the object is gone in whichever version.
		}
		out = append(out, Notice{
			Object: events.Object{
				Bucket: "s3://" + r.S3.Bucket.Name, Key: key, Version: o.Version, Sequencer: o.Sequencer, ETag: o.ETag, Size: o.Size,
			},
			Removed: removed, By: by, Name: strings.TrimPrefix(r.EventName, "s3:"),
			ID: fmt.Sprintf("%s.%d.%s", r.Response["x-amz-request-id"], i, r.EventTime),
		})
	}
	return checked(out)
}

// s3Event returns what an event's name means for the object's bytes. AWS writes
// it without s3: before it, MinIO with.
func s3Event(name string) (removed, wanted bool) {
	group, what, _ := strings.Cut(strings.TrimPrefix(name, "s3:"), ":")
	switch group {
	case "ObjectCreated":
		// MinIO counts changes of tags and locks as creations.
		switch what {
		case "PutTagging", "DeleteTagging", "PutRetention", "PutLegalHold":
			return false, false
		}
		return false, true
	case "ObjectRemoved":
		return true, what != "NoOP"
	case "LifecycleExpiration":
		return true, true
	}
	return false, false
}

// parseEventBridge reads S3's form for EventBridge, in which keys are as they are.
func parseEventBridge(b s3Body) ([]Notice, error) {
	removed := b.DetailType == "Object Deleted"
	if !removed && b.DetailType != "Object Created" {
		return nil, nil
	}
	o := b.Detail.Object
	if b.Detail.DeletionType == "Delete Marker Created" {
		o.Version = ""
	}
	return checked([]Notice{{
		Object: events.Object{
			Bucket: "s3://" + b.Detail.Bucket.Name, Key: o.Key, Version: o.Version, Sequencer: o.Sequencer, ETag: o.ETag, Size: o.Size,
		},
		Removed: removed, By: "s3", Name: b.DetailType, ID: b.ID,
	}})
}
