package triggers

import (
	"errors"
	"fmt"
)

// Trigger leads the events that pass its filter to one function. It is read
// only and safe for concurrent use.
type Trigger struct {
	// Name is the trigger's, Function the Knative Service it leads to.
	Name     string
	Function string
	// Types are the only CloudEvents types that can pass the filter, sorted.
	// Nil when others can too. It is what a receiver narrows its subscription
	// by before it asks Matches.
	Types []string

	filter filter
}

// Matches tells whether an event with these attributes passes the filter. The
// attributes are all of the event's by their CloudEvents names: type, source,
// subject and the extensions.
func (t Trigger) Matches(attributes map[string]string) bool {
	return t.filter == nil || t.filter.matches(attributes)
}

type triggerManifest struct {
	header
	Spec struct {
		Broker     string         `json:"broker"`
		Filter     any            `json:"filter"`
		Filters    []filterSpec   `json:"filters"`
		Subscriber destination    `json:"subscriber"`
		Delivery   map[string]any `json:"delivery"`
	} `json:"spec"`
}

func (m triggerManifest) trigger() (*Trigger, error) {
	t := Trigger{Name: m.Metadata.Name, Function: m.Spec.Subscriber.Ref.Name}
	errs := []error{m.check()}
	if m.Spec.Broker == "" {
		errs = append(errs, errors.New("spec.broker is missing"))
	}
	if ref := m.Spec.Subscriber.Ref; ref.Kind != "Service" || ref.Name == "" {
		errs = append(errs, errors.New("spec.subscriber.ref is not a Service with a name: the function's"))
	}
	if m.Spec.Filter != nil {
		errs = append(errs, errors.New("spec.filter is not supported by Millrace's own delivery: write spec.filters with exact"))
	}
	var err error
	if len(m.Spec.Filters) > 0 {
		t.filter, err = allOf(m.Spec.Filters)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("spec.filters: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if t.filter != nil {
		types, only := t.filter.types()
		if only && len(types) == 0 {
			return nil, fmt.Errorf("spec.filters: no event can pass them: they ask for two types at once")
		}
		t.Types = types
	}
	return &t, nil
}
