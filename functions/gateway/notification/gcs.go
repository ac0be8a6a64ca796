package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"millrace.dev/events"
)

// pubsubPush is what a push subscription of Pub/Sub sends.
type pubsubPush struct {
	Message *struct {
		Attributes map[string]string `json:"attributes"`
		Data       []byte            `json:"data"` // base64 in JSON
		ID         string            `json:"messageId"`
	} `json:"message"`
	Subscription string `json:"subscription"`
}

// gcsObject is the object's resource, as the JSON API has it: numbers as text.
type gcsObject struct {
	Bucket     string `json:"bucket"`
	Name       string `json:"name"`
	Generation string `json:"generation"`
	Size       string `json:"size"`
	ETag       string `json:"etag"`
}

// parseGCS reads a notification of Cloud Storage that came through Pub/Sub.
func parseGCS(body []byte) ([]Notice, error) {
	var push pubsubPush
	if err := json.Unmarshal(body, &push); err != nil {
		return nil, fmt.Errorf("this is not a push of Pub/Sub: %w", err)
	}
	if push.Message == nil {
		return nil, errors.New("this is not a push of Pub/Sub: it has no message")
	}
	a := push.Message.Attributes
	event := a["eventType"]
	var removed bool
	switch event {
	case "OBJECT_FINALIZE":
	case "OBJECT_DELETE", "OBJECT_ARCHIVE":
		// An object that was overwritten is not gone.
		if a["overwrittenByGeneration"] != "" {
			return nil, nil
		}
		removed = true
	case "":
		return nil, errors.New("this is not a notification of Cloud Storage: the message has no attribute eventType")
	default:
		return nil, nil
	}
	o := gcsObject{}
	if a["payloadFormat"] == "JSON_API_V1" && len(push.Message.Data) > 0 {
		if err := json.Unmarshal(push.Message.Data, &o); err != nil {
			return nil, fmt.Errorf("the message's data is not an object of Cloud Storage: %w", err)
		}
	}
	o.Bucket, o.Name, o.Generation = a["bucketId"], a["objectId"], a["objectGeneration"]
	return o.notices(removed, event, push.Message.ID)
}

// gcsPrefix begins the types of the CloudEvents that Cloud Storage sends
// through Eventarc: finalized, deleted, archived, metadataUpdated.
const gcsPrefix = "google.cloud.storage.object.v1."

func parseGCSEvent(e events.Envelope) ([]Notice, error) {
	var removed bool
	switch strings.TrimPrefix(e.Type, gcsPrefix) {
	case "finalized":
	case "deleted", "archived":
		removed = true
	default:
		return nil, nil
	}
	var o gcsObject
	if err := json.Unmarshal(e.Data, &o); err != nil {
		return nil, fmt.Errorf("data of %s is not an object of Cloud Storage: %w", e.Type, err)
	}
	return o.notices(removed, e.Type, e.ID)
}

// notices: the generation is the object's version, and, since it grows with
// time, its sequencer.
func (o gcsObject) notices(removed bool, name, id string) ([]Notice, error) {
	size, err := strconv.ParseInt(o.Size, 10, 64)
	if o.Size != "" && err != nil {
		return nil, fmt.Errorf("size %.40q is not a number", o.Size)
	}
	return checked([]Notice{{
		Object: events.Object{
			Bucket: "gs://" + o.Bucket, Key: o.Name, Version: o.Generation, Sequencer: o.Generation, ETag: o.ETag, Size: size,
		},
		Removed: removed, By: "gcs", Name: name, ID: id,
	}})
}
