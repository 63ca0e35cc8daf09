//! Joins our spans to the trace of a sender, and passes the position of a span on to Serval. Without the
//! export of spans both functions do nothing.

use tracing::Span;

use crate::domain::trace::TraceParent;

/// Makes `span` a child of `parent`. Call it before the span is entered.
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
    // An error means that no spans are recorded, so the span needs no parent.
    drop(span.set_parent(Context::new().with_remote_span_context(remote)));
}

/// The position of a span in its trace; `None` if spans are not recorded.
#[cfg(feature = "otel")]
pub fn traceparent(span: &Span) -> Option<TraceParent> {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let position = context.span().span_context().clone();
    let (trace, own, flags) = (
        position.trace_id(),
        position.span_id(),
        position.trace_flags(),
    );
    let sampled = u8::from(flags.is_sampled());
    // Ids are zero if the span is not recorded. Parsing refuses them.
    format!("00-{trace:032x}-{own:016x}-{sampled:02x}")
        .parse()
        .ok()
}

/// Does nothing: the program was built without the export of spans.
#[cfg(not(feature = "otel"))]
pub fn continue_from(_span: &Span, _parent: Option<&TraceParent>) {}

/// `None`: the program was built without the export of spans.
#[cfg(not(feature = "otel"))]
pub fn traceparent(_span: &Span) -> Option<TraceParent> {
    None
}
