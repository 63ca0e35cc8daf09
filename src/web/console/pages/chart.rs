//! Small bar charts, drawn here: webhooks stored and pairs connected over a range of time.

use jiff::Timestamp;

use crate::store::{Bucket, Range};
use crate::web::console::frame::count;

/// Size of the drawing; the page scales it.
const WIDTH: i64 = 480;
const HEIGHT: i64 = 64;
/// Least height of a bar whose value is not 0.
const LEAST: i64 = 2;

/// A chart, in its own units.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) width: i64,
    pub(crate) height: i64,
    /// Description for screen readers.
    pub(crate) text: String,
    /// Start of the range.
    pub(crate) from: &'static str,
    /// Value at the full height of the drawing.
    pub(crate) top: String,
    pub(crate) bars: Vec<Bars>,
}

/// The bars of one span of time, and their text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bars {
    pub(crate) x: i64,
    pub(crate) width: i64,
    /// Top and height of the bar for webhooks.
    pub(crate) stored: (i64, i64),
    /// Top and height of the bar for connects, which is half as wide.
    pub(crate) connected: (i64, i64),
    pub(crate) connected_x: i64,
    pub(crate) connected_width: i64,
    pub(crate) text: String,
}

impl Chart {
    /// A chart of one source.
    pub(crate) fn new(source: &str, buckets: &[Bucket], range: Range) -> Self {
        let (span, from, unit, per) = match range {
            Range::Hour => ("last hour", "60 min ago", "a minute", "min"),
            Range::Day => ("last day", "24 h ago", "15 minutes", "15 min"),
        };
        let most = |value: fn(&Bucket) -> i64| buckets.iter().map(value).max().unwrap_or(0);
        let sum = |value: fn(&Bucket) -> i64| buckets.iter().map(value).sum();
        let top = most(|b| b.stored).max(most(|b| b.connected));
        let text = format!(
            "{source}, {span}: {}, {}, at most {top} in {unit}",
            count(sum(|b| b.stored), "webhook", "webhooks"),
            count(sum(|b| b.connected), "connect", "connects"),
        );
        // A drawing without any span must not divide by zero.
        let slot = WIDTH / i64::try_from(buckets.len()).unwrap_or(1).max(1);
        let bars = (0..)
            .zip(buckets)
            .filter(|(_, bucket)| bucket.stored > 0 || bucket.connected > 0)
            .map(|(place, bucket)| bars(place * slot, slot, top, bucket))
            .collect();
        Self {
            width: WIDTH,
            height: HEIGHT,
            text,
            from,
            top: format!("{top} / {per}"),
            bars,
        }
    }
}

fn bars(x: i64, slot: i64, top: i64, bucket: &Bucket) -> Bars {
    let bar = |n: i64| {
        if n <= 0 {
            return (HEIGHT, 0);
        }
        let height = (n * HEIGHT / top.max(1)).max(LEAST);
        (HEIGHT - height, height)
    };
    // One unit of space separates two bars.
    let width = (slot - 1).max(1);
    let inner = (width / 2).max(1);
    Bars {
        x,
        width,
        stored: bar(bucket.stored),
        connected: bar(bucket.connected),
        connected_x: x + (width - inner) / 2,
        connected_width: inner,
        text: format!(
            "{}: {}, {}",
            clock(bucket.begins_at),
            count(bucket.stored, "webhook", "webhooks"),
            count(bucket.connected, "connect", "connects")
        ),
    }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_the_height_and_the_smallest_is_seen() {
        let begins_at: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let bucket = |stored, connected| Bucket {
            begins_at,
            stored,
            connected,
        };
        let mut buckets = vec![bucket(0, 0); 60];
        buckets[58] = bucket(1000, 1);
        buckets[59] = bucket(0, 500);
        let chart = Chart::new("slack", &buckets, Range::Hour);
        assert_eq!(chart.bars.len(), 2, "nothing is drawn for nothing");
        let (first, second) = (&chart.bars[0], &chart.bars[1]);
        assert_eq!((first.stored, first.connected), ((0, 64), (62, 2)));
        assert_eq!((second.stored, second.connected), ((64, 0), (32, 32)));
        assert!(second.x + second.width <= WIDTH);
        assert_eq!(first.text, "08:00 UTC: 1\u{202f}000 webhooks, 1 connect");
        assert_eq!(
            chart.text,
            "slack, last hour: 1\u{202f}000 webhooks, 501 connects, at most 1000 in a minute"
        );
        assert!(Chart::new("x", &[], Range::Day).bars.is_empty());
    }
}
