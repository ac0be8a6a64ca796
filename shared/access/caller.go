package access

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millrace.dev/shared/httperror"
)

// Kind says how a caller was identified, in the words of the CloudEvents
// extension Auth Context.
type Kind string

// The kinds of callers.
const (
	Unauthenticated Kind = "unauthenticated"
	APIKey          Kind = "api_key"
)

// Caller is who sent a request.
type Caller struct {
	// Name of the token; empty for a caller without a token.
	Name string
	Kind Kind
	// Roles and Pipelines are the caller's own; no pipelines means all.
	Roles     Roles
	Pipelines []string
	// anonymous are the roles that every caller has, for all pipelines.
	anonymous Roles
}

// May reports whether the caller has one of the roles for the pipeline. An
// empty name means all pipelines. With InHandler the pipeline does not matter.
func (c Caller) May(need Roles, pipeline string) bool {
	return need&^InHandler == Public || c.anonymous.all()&need != 0 || c.Roles.all()&need&everyRole != 0 && (need&InHandler != 0 || c.reaches(pipeline))
}

// With returns a caller that also has the roles, for all pipelines.
func (c Caller) With(roles Roles) Caller {
	c.anonymous |= roles
	return c
}

func (c Caller) reaches(pipeline string) bool {
	return len(c.Pipelines) == 0 || pipeline != "" && slices.Contains(c.Pipelines, pipeline)
}

// Check returns the answer to a caller that has none of the roles for the
// pipeline, nil if it has one.
func (c Caller) Check(need Roles, pipeline string) error {
	switch {
	case c.May(need, pipeline):
		return nil
	case c.Kind == Unauthenticated || c.Kind == "":
		return refuse(causeNoToken, httperror.Unauthorized())
	case c.Roles.all()&need&everyRole == 0:
		return refuse(causeRole, httperror.New(http.StatusForbidden, "%s has the roles %s, and this needs %s", c.described(), c.Roles, orOf(need)).
			Try("use a token with that role; millrace token create makes one"))
	case pipeline == "":
		return refuse(causePipeline, httperror.New(http.StatusForbidden, "%s is for %s only, and this concerns all pipelines", c.described(), strings.Join(c.Pipelines, ", ")).
			Try("name one of them, by the parameter pipeline where the path has no pipeline"))
	}
	return refuse(causePipeline, httperror.New(http.StatusForbidden, "%s is for %s only, and this concerns %.80q", c.described(), strings.Join(c.Pipelines, ", "), pipeline))
}

func (c Caller) described() string { return fmt.Sprintf("the token %q", c.Name) }

// orOf lists alternative roles.
func orOf(need Roles) string { return strings.ReplaceAll((need & everyRole).String(), ", ", " or ") }

// The attributes of CloudEvents that say who caused an event.
const (
	AttributeKind = "authtype"
	AttributeName = "authid"
)

// Attributes returns the attributes of the CloudEvents extension Auth Context,
// for an event that the caller causes; none for a caller without a token.
func (c Caller) Attributes() map[string]string {
	if c.Name == "" {
		return nil
	}
	return map[string]string{AttributeKind: string(c.Kind), AttributeName: c.Name}
}

type callerKey struct{}

// WithCaller returns a context of a request that the caller sent.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller of a request. ok is false if the request needed
// no token.
func CallerOf(ctx context.Context) (c Caller, ok bool) {
	c, ok = ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Check returns the answer to a request whose caller has none of the roles for
// the pipeline. It is for handlers of routes with InHandler. A request that
// needed no token may do what its route is for.
func Check(ctx context.Context, need Roles, pipeline string) error {
	if c, ok := CallerOf(ctx); ok {
		return c.Check(need, pipeline)
	}
	return nil
}
