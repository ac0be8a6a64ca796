package gateway

import (
	"encoding/json"
	"net/http"
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

// parseAzure reads what Event Grid sends in its own schema. code is not empty
// when it asks whether this is the place that was meant: it must be answered.
func parseAzure(body []byte) (out []notice, code string, err error) {
	var grid []gridEvent
	if err := json.Unmarshal(body, &grid); err != nil {
		return nil, "", refuse(http.StatusBadRequest, "this is no list of events of Event Grid: %v", err)
	}
	for _, e := range grid {
		if e.EventType == gridValidation {
			var v struct {
				Code string `json:"validationCode"`
			}
			if err := json.Unmarshal(e.Data, &v); err != nil || v.Code == "" {
				return nil, "", refuse(http.StatusBadRequest, "the validation of the subscription has no validationCode")
			}
			return nil, v.Code, nil
		}
		ns, err := parseBlob(e.EventType, e.Subject, e.ID, e.Data)
		if err != nil {
			return nil, "", err
		}
		out = append(out, ns...)
	}
	return out, "", nil
}

// parseBlob reads one event of Blob Storage. The subject says which blob:
// /blobServices/default/containers/<container>/blobs/<path>, path not encoded.
func parseBlob(name, subject, id string, data []byte) ([]notice, error) {
	if name != blobCreated && name != blobDeleted {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(subject, "/blobServices/default/containers/")
	container, key, found := strings.Cut(rest, "/blobs/")
	if !ok || !found {
		return nil, refuse(http.StatusBadRequest, "subject %.120q is not /blobServices/default/containers/<container>/blobs/<path>", subject)
	}
	var d blobData
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, refuse(http.StatusBadRequest, "data of %s: %v", name, err)
	}
	if d.API == "CreateFile" {
		return nil, nil // A data lake's file is empty yet; FlushWithClose tells of its bytes.
	}
	return checked([]notice{{
		Object:  events.Object{Bucket: "azblob://" + container, Key: key, Sequencer: d.Sequencer, ETag: d.ETag, Size: d.Size},
		removed: name == blobDeleted, by: "azure", name: name, id: id,
	}})
}
