package gateway

import (
	"errors"
	"net/http"

	"millrace.dev/events"
	"millrace.dev/functions/gateway/notification"
	"millrace.dev/shared/cloudevent"
	"millrace.dev/shared/httperror"
)

// arrival is one thing that came in: a CloudEvent, or an object store's
// notification in a format of its own.
type arrival struct {
	event  *events.Envelope
	notice *notification.Notice
}

// eventArrivals reads a body that claims to hold CloudEvents, in any mode of
// the HTTP binding. ok is false when it does not.
func eventArrivals(h http.Header, body []byte) (out []arrival, ok bool, err error) {
	if !cloudevent.Claims(h) {
		return nil, false, nil
	}
	out, err = arrivalsOf(cloudevent.FromHTTP(h, body))
	return out, true, err
}

// arrivalsOf returns the decoded events, or the answer to those that cannot be
// decoded.
func arrivalsOf(es []events.Envelope, err error) ([]arrival, error) {
	switch {
	case errors.Is(err, cloudevent.ErrMediaType):
		return nil, httperror.New(http.StatusUnsupportedMediaType, "%v", err)
	case errors.Is(err, cloudevent.ErrTooMany):
		return nil, httperror.New(http.StatusRequestEntityTooLarge, "%v", err)
	case err != nil:
		return nil, httperror.New(http.StatusBadRequest, "%v", err)
	}
	out := make([]arrival, len(es))
	for i := range es {
		out[i].event = &es[i]
	}
	return out, nil
}

// storeArrivals reads a body that is not a CloudEvent as the notification of an
// object store. code is the validation code that Event Grid expects in the
// answer.
func storeArrivals(store string, body []byte) (out []arrival, code string, err error) {
	switch store {
	case "":
		if store = notification.Sniff(body); store == "" {
			return nil, "", httperror.New(http.StatusBadRequest, "this is neither a CloudEvent nor a notification of a known object store").
				Try("a CloudEvent has the headers ce-specversion, ce-id, ce-source and ce-type, or the Content-Type application/cloudevents+json")
		}
	case notification.S3, notification.GCS, notification.Azure:
	default:
		return nil, "", httperror.New(http.StatusNotFound, "there is no /events/%s", store).Try("there are: /events, /events/s3, /events/gcs, /events/azure")
	}
	if store == notification.Azure {
		code = notification.ValidationCode(body)
	}
	ns, err := notification.Parse(store, body)
	if err != nil {
		return nil, "", httperror.New(http.StatusBadRequest, "%v", err)
	}
	for i := range ns {
		out = append(out, arrival{notice: &ns[i]})
	}
	return out, code, nil
}
