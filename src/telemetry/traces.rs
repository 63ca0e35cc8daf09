//! Spans and the traces of others: a span continues the trace that a sender began, and its own
//! place in it travels on. Without a recording of spans both do nothing.

use tracing::Span;

use crate::domain::trace::TraceParent;

/// Puts a span below `parent`. Call it before the span is entered.
#[cfg(feature = "otel")]
pub fn continue_from(span: &Span, parent: Option<&TraceParent>) {
    use opentelemetry::Context;
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    };
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    let Some(parent) = parent else { return };
    let (Ok(trace), Ok(parent_span)) = (
        TraceId::from_hex(parent.trace_id()),
        SpanId::from_hex(parent.span_id()),
    ) else {
        return;
    };
    let flags = TraceFlags::default().with_sampled(parent.is_sampled());
    let remote = SpanContext::new(trace, parent_span, flags, true, TraceState::default());
    // Where no span is recorded there is nothing to put anywhere.
    drop(span.set_parent(Context::new().with_remote_span_context(remote)));
}

/// The place of a span in its trace; `None` where spans are not recorded.
#[cfg(feature = "otel")]
pub fn traceparent(span: &Span) -> Option<TraceParent> {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let place = context.span().span_context().clone();
    let (trace, own, flags) = (place.trace_id(), place.span_id(), place.trace_flags());
    let sampled = u8::from(flags.is_sampled());
    // Zeroes, where nothing is recorded, are no traceparent.
    format!("00-{trace:032x}-{own:016x}-{sampled:02x}")
        .parse()
        .ok()
}

/// Does nothing: the program was built without the recording of spans.
#[cfg(not(feature = "otel"))]
pub fn continue_from(_span: &Span, _parent: Option<&TraceParent>) {}

/// Nothing: the program was built without the recording of spans.
#[cfg(not(feature = "otel"))]
pub fn traceparent(_span: &Span) -> Option<TraceParent> {
    None
}
