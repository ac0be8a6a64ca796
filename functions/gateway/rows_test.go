package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"millrace.dev/config"
	"millrace.dev/functions/gateway/api"
	"millrace.dev/shared/state"
)

// The words of the API are those of the state: rows convert one to the other.
func TestWordsOfTheAPI(t *testing.T) {
	t.Parallel()
	for state, api := range map[string]string{
		string(state.ObjectUploaded): string(api.ObjectUploaded), string(state.ObjectIngested): string(api.ObjectIngested),
		string(state.ObjectValid): string(api.ObjectValid), string(state.ObjectRejected): string(api.ObjectRejected),
		string(state.ObjectLabels): string(api.ObjectLabels), string(state.ObjectRemoved): string(api.ObjectRemoved),
		string(state.RunStarted): string(api.RunStarted), string(state.RunCompleted): string(api.RunCompleted), string(state.RunFailed): string(api.RunFailed),
		string(state.Candidate): string(api.Candidate), string(state.Canary): string(api.Canary), string(state.Champion): string(api.Champion),
		string(state.Archived): string(api.Archived), string(state.Rejected) + "!": string(api.Rejected) + "!", // "rejected" is an object's word too
	} {
		if state != api {
			t.Errorf("the state says %q, the API %q", state, api)
		}
	}
}

// Pending training is reported under its name, and under the earlier name for
// clients that know only that one.
func TestPendingTrainingUnderBothNames(t *testing.T) {
	t.Parallel()
	p := state.New("flights")
	p.Config = &config.Pipeline{}
	p.PendingTraining = &state.PendingTraining{Trigger: "drift", Reason: "no new data", Since: time.Unix(1, 0).UTC()}
	b, err := json.Marshal(statusOf(p))
	if err != nil {
		t.Fatal(err)
	}
	const row = `{"trigger":"drift","reason":"no new data","since":"1970-01-01T00:00:01Z"}`
	for _, name := range []string{"pendingTraining", "wish"} {
		if want := `"` + name + `":` + row; !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}
