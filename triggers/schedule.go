package triggers

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Schedule is one of the system's own, read from a PingSource. It ticks for
// every configured pipeline; the schedules of a pipeline stand in its file.
type Schedule struct {
	// Name is the PingSource's.
	Name string
	// Cron has five fields, in the time zone Zone.
	Cron, Zone string
	// Action is what the tick asks for: an action of events.ScheduleTicked.
	Action string
}

type pingManifest struct {
	header
	Spec struct {
		Schedule    string      `json:"schedule"`
		Timezone    string      `json:"timezone"`
		ContentType string      `json:"contentType"`
		Data        string      `json:"data"`
		Sink        destination `json:"sink"`
		CEOverrides struct {
			Extensions map[string]string `json:"extensions"`
		} `json:"ceOverrides"`
	} `json:"spec"`
}

// schedule reads the data that the ping carries: the name and the action of
// the ScheduleTicked that the gateway makes of it.
func (m pingManifest) schedule() (*Schedule, error) {
	errs := []error{m.check()}
	var data struct {
		Schedule string `json:"schedule"`
		Action   string `json:"action"`
	}
	if err := json.Unmarshal([]byte(m.Spec.Data), &data); err != nil {
		errs = append(errs, fmt.Errorf("spec.data is not JSON: %w", err))
	}
	if m.Spec.ContentType != "application/json" {
		errs = append(errs, fmt.Errorf("spec.contentType is %q; it must be application/json", m.Spec.ContentType))
	}
	if data.Schedule != m.Metadata.Name {
		errs = append(errs, fmt.Errorf("spec.data says the schedule is %q; it must be the name, %q", data.Schedule, m.Metadata.Name))
	}
	if data.Action == "" {
		errs = append(errs, errors.New("spec.data has no action"))
	}
	if m.Spec.Schedule == "" {
		errs = append(errs, errors.New("spec.schedule is missing"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	zone := m.Spec.Timezone
	if zone == "" {
		zone = "UTC"
	}
	return &Schedule{Name: m.Metadata.Name, Cron: m.Spec.Schedule, Zone: zone, Action: data.Action}, nil
}
