package triggers

import (
	"fmt"

	cesql "github.com/cloudevents/sdk-go/sql/v2"
	"github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// expression is a CESQL filter. An attribute that is missing is an error of
// the evaluation, and what fails does not match.
type expression struct{ cesql.Expression }

// parseCESQL reads an expression. The SDK's parser panics on some texts; that
// too is a mistake in the text, as it is for Knative's webhook.
func parseCESQL(text string) (f filter, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("%q: %v", text, r)
		}
	}()
	e, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return expression{e}, nil
}

func (f expression) matches(attributes map[string]string) bool {
	v, err := f.Evaluate(cloudEvent(attributes))
	yes, ok := v.(bool)
	return err == nil && ok && yes
}

func (expression) types() ([]string, bool) { return nil, false }

// cloudEvent is the attributes as the SDK has them, data left out.
func cloudEvent(attributes map[string]string) event.Event {
	e := event.New()
	for k, v := range attributes {
		switch k {
		case "specversion":
		case "id":
			e.SetID(v)
		case "source":
			e.SetSource(v)
		case "type":
			e.SetType(v)
		case "subject":
			e.SetSubject(v)
		case "time":
			if t, err := types.ParseTime(v); err == nil {
				e.SetTime(t)
			}
		case "dataschema":
			e.SetDataSchema(v)
		case "datacontenttype":
			e.SetDataContentType(v)
		default:
			e.SetExtension(k, v)
		}
	}
	return e
}
