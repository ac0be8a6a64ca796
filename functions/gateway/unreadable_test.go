package gateway_test

import (
	"encoding/json"
	"testing"

	"millrace.dev/functions/gateway/api"
)

// A record that was published past the gateway breaks neither the status nor the lists, and is shown.
func TestUnreadableRecordIsShown(t *testing.T) {
	t.Parallel()
	r := newEnv(t, settings(), flights)
	if _, err := r.Log.JetStream().Publish(t.Context(), "events.flights.x", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/models", "/api/events", "/api/routes"} {
		r.get(path).is(200)
	}
	var s api.Status
	if err := json.Unmarshal(r.get("/api/status").is(200).body, &s); err != nil {
		t.Fatal(err)
	}
	u := s.Log.Unreadable
	if u.Count != 1 || u.Checked != u.Last || len(u.Records) != 1 || u.Records[0].Subject != "events.flights.x" || u.Records[0].Reason == "" {
		t.Errorf("%+v", u)
	}
}
