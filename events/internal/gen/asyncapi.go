package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"millrace.dev/events"
)

// asyncAPI is the catalogue as an AsyncAPI 3 document: the log as a channel
// that functions send to and receive from, and the gateway's door as one that
// takes the types that come from outside.
func asyncAPI(dir string, docs comments) (object, error) {
	var logged, taken, messages object
	for _, t := range events.Catalogue() {
		name := messageName(t)
		ref := object{{"$ref", "#/components/messages/" + name}}
		logged.set(name, ref)
		if t.Foreign {
			taken.set(name, ref)
		}
		m, err := message(dir, t, docs)
		if err != nil {
			return nil, err
		}
		messages.set(name, m)
	}
	return object{
		{"asyncapi", "3.0.0"},
		{"info", object{
			{"title", "Millrace"},
			{"version", "1.0.0"},
			{"description", "The events of Millrace: every fact in the life of a model. Each is a CloudEvent 1.0; its data is JSON that holds references and small facts."},
			{"license", object{{"name", "Apache-2.0"}}},
		}},
		{"defaultContentType", "application/json"},
		{"channels", object{
			{"log", object{
				{"address", "events.{pipeline}.{noun}.{past}.{function}.{cause}.{n}"},
				{"title", "The event log"},
				{"description", "A JetStream stream in which a subject holds one event for ever. Attributes are headers with the prefix ce- (CloudEvents binary mode for NATS)."},
				{"parameters", object{
					{"pipeline", object{{"description", "The pipeline that the event belongs to, _ for none."}}},
					{"noun", object{{"description", "What the event is about: the third word of its type."}}},
					{"past", object{{"description", "What happened: the fourth word of its type."}}},
					{"function", object{{"description", "Who emitted it."}}},
					{"cause", object{{"description", "Hex digest of what led to it."}}},
					{"n", object{{"description", "Its place among the events of one cause, from 0."}}},
				}},
				{"messages", logged},
			}},
			{"gateway", object{
				{"address", "/events"},
				{"title", "The gateway"},
				{"description", "POST of a CloudEvent, binary or structured: the one gate through which events from outside enter the log."},
				{"messages", taken},
			}},
		}},
		{"operations", object{
			{"announce", operation("send", "log", "A function emits what it decided.")},
			{"hear", operation("receive", "log", "A function receives the events that its trigger selects.")},
			{"take", operation("receive", "gateway", "The gateway takes an event from outside.")},
		}},
		{"components", object{
			{"messages", messages},
			{"schemas", object{{"attributes", attributes()}}},
		}},
	}, nil
}

func operation(action, channel, summary string) object {
	return object{{"action", action}, {"channel", object{{"$ref", "#/channels/" + channel}}}, {"summary", summary}}
}

func message(dir string, t events.Type, docs comments) (object, error) {
	text, err := os.ReadFile(filepath.Join(dir, "testdata", t.Name, "simple.json"))
	if err != nil {
		return nil, fmt.Errorf("example of %s: %w", t.Name, err)
	}
	var example events.Envelope
	if err := json.Unmarshal(text, &example); err != nil {
		return nil, fmt.Errorf("example of %s: %w", t.Name, err)
	}
	doc := docs[reflect.TypeOf(t.Zero).Name()]
	summary, _, _ := strings.Cut(doc, ". ")
	return object{
		{"name", t.Name},
		{"title", reflect.TypeOf(t.Zero).Name()},
		{"summary", strings.TrimSuffix(summary, ".")},
		{"description", doc},
		{"contentType", "application/json"},
		{"headers", headers(t)},
		{"payload", object{
			{"schemaFormat", "application/schema+json;version=draft-2020-12"},
			{"schema", object{{"$ref", "./schema/" + t.Name + ".json"}}},
		}},
		{"examples", []object{{{"name", "simple"}, {"payload", example.Data}}}},
	}, nil
}

// headers are the attributes of an event: those of all, its type, and those
// that it is routed by.
func headers(t events.Type) object {
	properties := object{{"type", object{{"const", t.Name}}}}
	var required []string
	if a, ok := t.Zero.(events.Attributed); ok {
		for _, name := range slices.Sorted(maps.Keys(a.Attributes())) {
			properties.set(name, object{{"type", "string"}})
			required = append(required, name)
		}
	}
	own := object{{"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		own.set("required", required)
	}
	return object{{"allOf", []object{{{"$ref", "#/components/schemas/attributes"}}, own}}}
}

// attributes are those of every event.
func attributes() object {
	text := object{{"type", "string"}}
	return object{
		{"type", "object"},
		{"description", "The CloudEvents attributes of every event, without the prefix that a transport gives them."},
		{"properties", object{
			{"specversion", object{{"const", "1.0"}}},
			{"id", object{{"type", "string"}, {"description", "UUIDv5 over cause, function, type, subject and place: a second handling makes the same."}}},
			{"source", object{{"type", "string"}, {"description", "/millrace/ and the function."}}},
			{"type", text},
			{"subject", object{{"type", "string"}, {"description", "The pipeline, and what the event is about."}}},
			{"time", object{{"type", "string"}, {"format", "date-time"}}},
			{"pipeline", text},
			{"correlationid", object{{"type", "string"}, {"description", "The id of the first event of the chain."}}},
			{"causationid", object{{"type", "string"}, {"description", "The id of the event that led to this one."}}},
			{"traceparent", object{{"type", "string"}, {"description", "W3C trace context of the start of the chain."}}},
			{"via", object{{"type", "string"}, {"description", "log, on what the log delivers."}}},
		}},
		{"required", []string{"specversion", "id", "source", "type"}},
	}
}

// messageName is the key of a type's message: "modelApproved".
func messageName(t events.Type) string {
	past := t.Past()
	return t.Noun() + strings.ToUpper(past[:1]) + past[1:]
}
