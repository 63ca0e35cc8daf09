//! Small bar charts, drawn here: webhooks stored and pairs connected over a range of time.

use jiff::Timestamp;

use super::page::count;
use crate::store::{Bucket, Range};

/// The size of the drawing; the page scales it.
const WIDTH: i64 = 480;
const HEIGHT: i64 = 64;
/// The least height of a bar that stands for something.
const LEAST: i64 = 2;

/// A chart, in its own units.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) width: i64,
    pub(super) height: i64,
    /// What it shows, for those who do not see it.
    pub(super) text: String,
    /// Where it begins.
    pub(super) from: &'static str,
    /// The height of the drawing stands for so much.
    pub(super) top: String,
    pub(super) bars: Vec<Bars>,
}

/// The bars of one span of time, and what they say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bars {
    pub(super) x: i64,
    pub(super) width: i64,
    /// The top and the height of the bar for webhooks.
    pub(super) stored: (i64, i64),
    /// And for connects, which is half as wide.
    pub(super) connected: (i64, i64),
    pub(super) connected_x: i64,
    pub(super) connected_width: i64,
    pub(super) text: String,
}

impl Chart {
    /// Of a source.
    pub(super) fn new(source: &str, buckets: &[Bucket], range: Range) -> Self {
        let (span, from, unit) = match range {
            Range::Hour => ("last hour", "60 min ago", "minute"),
            Range::Day => ("last day", "24 h ago", "15 minutes"),
        };
        let most = |value: fn(&Bucket) -> i64| buckets.iter().map(value).max().unwrap_or(0);
        let sum = |value: fn(&Bucket) -> i64| buckets.iter().map(value).sum();
        let top = most(|b| b.stored).max(most(|b| b.connected));
        let text = format!(
            "{source}, {span}: {}, {}, at most {top} in {unit_article}",
            count(sum(|b| b.stored), "webhook", "webhooks"),
            count(sum(|b| b.connected), "connect", "connects"),
            unit_article = match range {
                Range::Hour => "a minute",
                Range::Day => unit,
            },
        );
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
            top: format!(
                "{top} / {}",
                if unit == "minute" { "min" } else { "15 min" }
            ),
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
