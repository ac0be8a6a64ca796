package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"millrace.dev/events"
)

// gridEvent is one event in Event Grid's own schema.
type gridEvent struct {
	ID        string          `json:"id"`
	EventType string          `json:"eventType"`
	Subject   string          `json:"subject"`
	Data      json.RawMessage `json:"data"`
}

// blobData is the data of Microsoft.Storage.Blob* in both schemas.
type blobData struct {
	API       string `json:"api"`
	ETag      string `json:"eTag"`
	Size      int64  `json:"contentLength"`
	Sequencer string `json:"sequencer"`
}

const (
	gridValidation = "Microsoft.EventGrid.SubscriptionValidationEvent"
	blobCreated    = "Microsoft.Storage.BlobCreated"
	blobDeleted    = "Microsoft.Storage.BlobDeleted"
)

// ValidationCode returns the code of Event Grid's request to confirm a
// subscription, which must be sent back; "" if the body is something else.
func ValidationCode(body []byte) string {
	var grid []gridEvent
	if json.Unmarshal(body, &grid) != nil {
		return ""
	}
	for _, e := range grid {
		if e.EventType == gridValidation {
			return e.validationCode()
		}
	}
	return ""
}

func (e gridEvent) validationCode() string {
	var v struct {
		Code string `json:"validationCode"`
	}
	if json.Unmarshal(e.Data, &v) != nil {
		return ""
	}
	return v.Code
}

// parseAzure reads what Event Grid sends in its own schema.
func parseAzure(body []byte) (out []Notice, err error) {
	var grid []gridEvent
	if err := json.Unmarshal(body, &grid); err != nil {
		return nil, fmt.Errorf("this is not a list of events of Event Grid: %w", err)
	}
	for _, e := range grid {
		if e.EventType == gridValidation {
			if e.validationCode() == "" {
				return nil, errors.New("the validation of the subscription has no validationCode")
			}
			return nil, nil
		}
		ns, err := parseBlob(e.EventType, e.Subject, e.ID, e.Data)
		if err != nil {
			return nil, err
		}
		out = append(out, ns...)
	}
	return out, nil
}

// parseBlob reads one event of Blob Storage. The subject says which blob:
// /blobServices/default/containers/<container>/blobs/<path>, path not encoded.
func parseBlob(name, subject, id string, data []byte) ([]Notice, error) {
	if name != blobCreated && name != blobDeleted {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(subject, "/blobServices/default/containers/")
	container, key, found := strings.Cut(rest, "/blobs/")
	if !ok || !found {
		return nil, fmt.Errorf("subject %.120q is not /blobServices/default/containers/<container>/blobs/<path>", subject)
	}
	var d blobData
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("data of %s: %w", name, err)
	}
	if d.API == "CreateFile" {
		return nil, nil // A data lake's file is empty yet; FlushWithClose tells of its bytes.
	}
	return checked([]Notice{{
		Object:  events.Object{Bucket: "azblob://" + container, Key: key, Sequencer: d.Sequencer, ETag: d.ETag, Size: d.Size},
		Removed: name == blobDeleted, By: "azure", Name: name, ID: id,
	}})
}
