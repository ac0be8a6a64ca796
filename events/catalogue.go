package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Type is one entry of the catalogue.
type Type struct {
	// Name is the CloudEvents type.
	Name string
	// Zero is the payload's zero value.
	Zero Data
	// Foreign says that the gateway takes the type from outside.
	Foreign bool
	decode  func([]byte) (Data, error)
}

// Noun is the first word of the type's name: dev.millrace.<noun>.<past>.v1.
func (t Type) Noun() string { noun, _ := words(t.Name); return noun }

// Past is the second word of the type's name.
func (t Type) Past() string { _, past := words(t.Name); return past }

func words(name string) (noun, past string) {
	w := strings.Split(strings.TrimPrefix(name, TypePrefix), ".")
	if len(w) < 2 {
		return "", ""
	}
	return w[0], w[1]
}

// Foreign nouns of types that Millrace does not know stand under this noun in the log.
const foreignNoun, foreignPast = "foreign", "received"

// Words are the noun and the past of a type's name, which place an event in
// the log. Types that are not Millrace's stand under foreign.received.
func Words(name string) (noun, past string) {
	if !strings.HasPrefix(name, TypePrefix) {
		return foreignNoun, foreignPast
	}
	noun, past = words(name)
	if !token(noun) || !token(past) {
		return foreignNoun, foreignPast
	}
	return noun, past
}

func token(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func entry[T Data](foreign bool) Type {
	var zero T
	return Type{Name: zero.EventType(), Zero: zero, Foreign: foreign, decode: func(b []byte) (Data, error) {
		var d T
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, err
		}
		return d, nil
	}}
}

var catalogue = []Type{
	entry[PipelineConfigured](false),
	entry[ObjectUploaded](true),
	entry[ObjectRemoved](true),
	entry[PartitionIngested](false),
	entry[PartitionRejected](false),
	entry[PartitionRemoved](false),
	entry[ReingestRequested](true),
	entry[ReingestProgressed](false),
	entry[LabelsIngested](false),
	entry[DatasetValidated](false),
	entry[DatasetLate](false),
	entry[TrainingRequested](true),
	entry[TrainingStarted](false),
	entry[TrainingProgressed](true),
	entry[TrainingCompleted](true),
	entry[TrainingFailed](true),
	entry[TrainingSkipped](false),
	entry[ModelRegistered](true),
	entry[EvaluationRequested](true),
	entry[ModelApproved](false),
	entry[ModelRejected](false),
	entry[PromotionApproved](true),
	entry[RollbackRequested](true),
	entry[RolloutStarted](false),
	entry[RolloutAdvanced](false),
	entry[RolloutAborted](false),
	entry[RolloutCompleted](false),
	entry[ModelPromoted](false),
	entry[ModelRolledBack](false),
	entry[PredictionsLogged](false),
	entry[DriftChecked](false),
	entry[DriftDetected](true),
	entry[ScheduleTicked](true),
	entry[EventHandled](false),
	entry[EventDeferred](false),
	entry[DeadLetterRecorded](false),
	entry[DeadLetterClosed](false),
}

// Catalogue lists every event type, in the order of a model's life.
func Catalogue() []Type { return slices.Clone(catalogue) }

// Lookup finds a type by its name.
func Lookup(name string) (Type, bool) {
	i := slices.IndexFunc(catalogue, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return catalogue[i], true
}

// DecodeData gives the payload of the envelope as the type its name says,
// without validating it. Unknown fields are ignored, so that a newer minor
// version is understood; unknown types are an error.
func DecodeData(e Envelope) (Data, error) {
	t, ok := Lookup(e.Type)
	if !ok {
		return nil, fmt.Errorf("unknown event type %q", e.Type)
	}
	d, err := t.decode(e.Data)
	if err != nil {
		return nil, fmt.Errorf("data of %s %s: %w", e.Type, e.ID, err)
	}
	return d, nil
}
