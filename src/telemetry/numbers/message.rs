//! Numbers as a message of OTLP.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::page::{Family, Kind, Sample};

/// Between which moments the numbers were counted, in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) started: u64,
    pub(super) now: u64,
}

/// All families as one message of the service of this name.
pub(super) fn message(
    service: &str,
    families: Vec<Family>,
    span: Span,
) -> ExportMetricsServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![
                    attribute("service.name", service),
                    attribute("service.version", version),
                ],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "serval-connect".to_owned(),
                    version: version.to_owned(),
                    ..InstrumentationScope::default()
                }),
                metrics: families.into_iter().map(|one| metric(one, span)).collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn metric(family: Family, span: Span) -> Metric {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let points = |samples: &[Sample]| samples.iter().map(|one| point(one, span)).collect();
    let data = match family.kind {
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: points(&family.samples),
        }),
        Kind::Counter => Data::Sum(Sum {
            data_points: points(&family.samples),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: histograms(&family.samples, span),
            aggregation_temporality: cumulative,
        }),
    };
    // As UCUM writes them.
    let unit = match family.unit.as_str() {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    };
    Metric {
        unit: unit.to_owned(),
        name: family.name,
        description: family.help,
        data: Some(data),
        ..Metric::default()
    }
}

fn point(sample: &Sample, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: span.started,
        time_unix_nano: span.now,
        value: Some(Number::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    }
}

/// Puts the lines of each histogram together. A bucket of a page counts all that is below its bound,
/// one of OTLP only what is above the bound before.
fn histograms(samples: &[Sample], span: Span) -> Vec<HistogramDataPoint> {
    let mut points: BTreeMap<BTreeMap<String, String>, HistogramDataPoint> = BTreeMap::new();
    let mut below = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let point = points
            .entry(labels.clone())
            .or_insert_with(|| HistogramDataPoint {
                attributes: attributes(&labels),
                start_time_unix_nano: span.started,
                time_unix_nano: span.now,
                ..HistogramDataPoint::default()
            });
        match (sample.suffix.as_str(), bound) {
            ("_sum", _) => point.sum = Some(sample.value),
            ("_count", _) => point.count = whole(sample.value),
            ("_bucket", Some(bound)) => {
                let so_far = whole(sample.value);
                let before = below.insert(labels, so_far).unwrap_or(0);
                point.bucket_counts.push(so_far.saturating_sub(before));
                let bound = bound.parse().unwrap_or(f64::INFINITY);
                if bound.is_finite() {
                    point.explicit_bounds.push(bound);
                }
            }
            _ => {}
        }
    }
    points.into_values().collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is whole, and the cast stops at the ends"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

fn attributes(labels: &BTreeMap<String, String>) -> Vec<KeyValue> {
    let pairs = labels.iter();
    pairs.map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}
