package function

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traced makes a span of each handling, child of the trace that the event
// carries: the whole chain of an upload is one trace. Names are those of
// OpenTelemetry's CloudEvents and messaging conventions. Without a provider
// there are no spans.
func traced(function string, provider trace.TracerProvider) middleware {
	return func(next handler) handler {
		if provider == nil {
			return next
		}
		tracer := provider.Tracer("millrace.dev/shared/function")
		return func(ctx context.Context, d Delivery) Outcome {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": d.TraceParent})
			ctx, span := tracer.Start(ctx, "process "+d.Type, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("cloudevents.event_id", d.ID),
				attribute.String("cloudevents.event_source", d.Source),
				attribute.String("cloudevents.event_type", d.Type),
				attribute.String("cloudevents.event_subject", d.Subject),
				attribute.String("messaging.operation.type", "process"),
				attribute.String("messaging.system", "nats"),
				attribute.String("faas.name", function),
				attribute.String("faas.trigger", "pubsub"),
			))
			defer span.End()
			o := next(ctx, d)
			span.SetAttributes(attribute.String("millrace.outcome", o.name()), attribute.Int("millrace.announced", len(o.Events)))
			if o.Err != nil {
				span.SetStatus(codes.Error, o.Err.Error())
			}
			return o
		}
	}
}
