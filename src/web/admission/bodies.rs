//! Reads the bodies of webhooks into memory, within one budget of bytes for all of them.
//!
//! Invariant: the bodies in memory take no more than the budget. A body takes its share as it arrives,
//! whatever length was announced, and gives it back when the last user of its bytes is done, which may be
//! the store's writer.
//!
//! Who sends a body is not known before it was read. So when the budget is used up, the body that has been
//! arriving for longest gives way, and a crowd that sends slowly keeps no webhook out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::buffer::Buffer;
use crate::web::problem::Problem;

/// Unit of the budget, in bytes: a page.
const UNIT: usize = 4096;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Bodies {
    units: usize,
    free: Arc<Semaphore>,
    arrivals: Arc<Mutex<Arrivals>>,
}

/// The bodies that are arriving, by their order.
#[derive(Debug, Default)]
struct Arrivals {
    next: u64,
    by_age: BTreeMap<u64, Arrival>,
}

#[derive(Debug, Clone, Default)]
struct Arrival {
    gives_way: CancellationToken,
    /// Its share of the budget was given back.
    is_over: CancellationToken,
}

/// One arriving body, until it is dropped.
#[derive(Debug)]
struct Arriving {
    bodies: Bodies,
    number: u64,
    arrival: Arrival,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.bodies.arrivals().by_age.remove(&self.number);
        self.arrival.is_over.cancel();
    }
}

/// Reason why a body was not read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Unread {
    TooLarge,
    Slow,
    Incomplete,
    NoMemory,
}

impl Unread {
    /// The answer. `limit` is the largest length of a body, in bytes.
    pub(in crate::web) fn problem(self, limit: usize) -> Problem {
        let (status, detail, cause) = match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than the {limit} bytes of server.body_limit"),
                "body_too_large",
            ),
            Self::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                "the body took too long to arrive".to_owned(),
                "body_slow",
            ),
            Self::Incomplete => (
                StatusCode::BAD_REQUEST,
                "the body did not arrive whole".to_owned(),
                "body_incomplete",
            ),
            Self::NoMemory => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many bodies at once; nothing was stored, send it again".to_owned(),
                "memory",
            ),
        };
        Problem::new(status, detail).because(cause)
    }
}

impl Bodies {
    /// Allows `budget` bytes for all bodies together.
    pub fn new(budget: usize) -> Self {
        let units = (budget / UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            units,
            free: Arc::new(Semaphore::new(units)),
            arrivals: Arc::default(),
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        let arrivals = self.arrivals.lock();
        arrivals.unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(&self) -> Arriving {
        let arrival = Arrival::default();
        let mut arrivals = self.arrivals();
        arrivals.next += 1;
        let number = arrivals.next;
        arrivals.by_age.insert(number, arrival.clone());
        Arriving {
            bodies: self.clone(),
            number,
            arrival,
        }
    }

    /// Takes out the oldest body that is arriving, if it is older than this one.
    fn oldest_before(&self, number: u64) -> Option<Arrival> {
        let mut arrivals = self.arrivals();
        let oldest = arrivals.by_age.first_entry()?;
        (*oldest.key() < number).then(|| oldest.remove())
    }

    /// The part of the budget that is taken now, in bytes.
    pub(in crate::web) fn taken(&self) -> usize {
        let free = self.free.available_permits();
        self.units.saturating_sub(free) * UNIT
    }

    /// Reads a body of at most `limit` bytes, which has `time` to arrive. After an error the rest of it is left.
    pub(in crate::web) async fn read(
        &self,
        body: &mut Body,
        announced: Option<u64>,
        limit: usize,
        time: Duration,
    ) -> Result<Bytes, Unread> {
        let announced = announced.and_then(|length| usize::try_from(length).ok());
        // Dropped after `held`: who waits for its end finds the share given back.
        let arriving = self.arrive();
        let mut held = Held {
            buffer: Buffer::new(announced.unwrap_or(limit).min(limit)),
            share: None,
        };
        let read = self.fill(&mut held, &arriving, body, limit);
        let read = tokio::time::timeout(time, read);
        let read = arriving.arrival.gives_way.run_until_cancelled(read).await;
        read.unwrap_or(Ok(Err(Unread::NoMemory)))
            .unwrap_or(Err(Unread::Slow))?;
        Ok(Bytes::from_owner(held))
    }

    async fn fill(
        &self,
        held: &mut Held,
        arriving: &Arriving,
        body: &mut Body,
        limit: usize,
    ) -> Result<(), Unread> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Unread::Incomplete)?;
            // Trailers hold no part of the body.
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let length = held.buffer.len() + chunk.len();
            if length > limit {
                return Err(Unread::TooLarge);
            }
            self.grow(held, arriving, length).await?;
            // Copied, because a chunk of one byte would keep the connection's whole buffer.
            held.buffer.push(&chunk).map_err(|_| Unread::NoMemory)?;
        }
        Ok(())
    }

    /// Takes the share for `length` bytes, before the memory itself is taken.
    async fn grow(
        &self,
        held: &mut Held,
        arriving: &Arriving,
        length: usize,
    ) -> Result<(), Unread> {
        let has = held
            .share
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let more = length.div_ceil(UNIT).saturating_sub(has);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| Unread::NoMemory)?;
        let more = loop {
            if let Ok(more) = Arc::clone(&self.free).try_acquire_many_owned(more) {
                break more;
            }
            // Nobody waits for webhooks that are being stored: the sender would wait as well, and it
            // repeats the webhook by itself when it is told so at once.
            let Some(oldest) = self.oldest_before(arriving.number) else {
                return Err(Unread::NoMemory);
            };
            oldest.gives_way.cancel();
            oldest.is_over.cancelled().await;
        };
        match &mut held.share {
            Some(share) => share.merge(more),
            None => held.share = Some(more),
        }
        Ok(())
    }
}

/// A body with its share of the budget.
#[derive(Debug)]
struct Held {
    buffer: Buffer,
    share: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref()
    }
}

/// The length that the headers announce.
pub(in crate::web) fn announced(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Lets the body of a refused request be read and discarded after the answer, up to 4 times the limit: a sender
/// that is still writing when the connection closes would not see the answer. A sender with `Expect` has not
/// sent the body yet.
pub(in crate::web) fn discard(headers: &HeaderMap, mut body: Body, limit: usize, time: Duration) {
    const TIMES_THE_LIMIT: usize = 4;
    let mut left = TIMES_THE_LIMIT.saturating_mul(limit);
    if announced(headers).is_some_and(|length| length > left as u64) || headers.contains_key(EXPECT)
    {
        return;
    }
    let read = async move {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    };
    // Apart, so that a slow body does not keep the answer back.
    #[expect(
        clippy::disallowed_methods,
        reason = "it writes nothing, and ends by its time limit"
    )]
    let discarded = tokio::spawn(tokio::time::timeout(time, read));
    drop(discarded);
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    const LIMIT: usize = 64 * 1024;
    const TIME: Duration = Duration::from_mins(1);

    fn body(chunks: &[usize]) -> Body {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|length| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; *length])))
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_takes_what_arrives_and_gives_it_back_with_its_last_clone() {
        let bodies = Bodies::new(10 * UNIT);
        let read = bodies
            .read(&mut body(&[5000, 1, 1]), None, LIMIT, TIME)
            .await;
        let read = read.unwrap();
        assert_eq!(read.len(), 5002);
        assert_eq!(bodies.taken(), 2 * UNIT);
        let clone = read.slice(1..3);
        drop(read);
        assert_eq!(bodies.taken(), 2 * UNIT);
        drop(clone);
        assert_eq!(bodies.taken(), 0);
    }

    #[tokio::test]
    async fn an_announced_length_takes_nothing_and_bounds_the_room() {
        let bodies = Bodies::new(10 * UNIT);
        let mut silent = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
        let waiting = bodies.read(
            &mut silent,
            Some(LIMIT as u64),
            LIMIT,
            Duration::from_millis(1),
        );
        assert_eq!(waiting.await, Err(Unread::Slow));
        assert_eq!(bodies.taken(), 0);
        let exact = bodies
            .read(&mut body(&[4096, 1000]), Some(5096), LIMIT, TIME)
            .await;
        assert_eq!(bodies.taken(), 2 * UNIT);
        drop(exact);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_leaves_the_others_alone() {
        let bodies = Bodies::new(4 * UNIT);
        let first = bodies.read(&mut body(&[3 * UNIT]), None, LIMIT, TIME).await;
        let second = bodies.read(&mut body(&[2 * UNIT]), None, LIMIT, TIME).await;
        assert_eq!(second, Err(Unread::NoMemory));
        assert_eq!(first.unwrap().len(), 3 * UNIT);
        assert_eq!(bodies.taken(), 0);
        let third = bodies.read(&mut body(&[2 * UNIT]), None, LIMIT, TIME).await;
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn the_bodies_that_have_been_arriving_for_longest_give_way_to_newer_ones() {
        let bodies = Bodies::new(4 * UNIT);
        // Three bodies that take a page each and never end.
        let mut stalled = tokio::task::JoinSet::new();
        for n in 0..3_u8 {
            let begin = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
            let mut body = Body::from_stream(begin.chain(stream::pending()));
            let all = bodies.clone();
            stalled.spawn(async move { (n, all.read(&mut body, None, LIMIT, TIME).await) });
            while bodies.taken() < (usize::from(n) + 1) * UNIT {
                tokio::task::yield_now().await;
            }
        }
        let newer = bodies
            .read(&mut body(&[UNIT, 2 * UNIT]), None, LIMIT, TIME)
            .await;
        assert_eq!(newer.unwrap().len(), 3 * UNIT);
        let mut ended = Vec::new();
        while let Some(Ok(end)) = stalled.try_join_next() {
            ended.push(end);
        }
        ended.sort_by_key(|(n, _)| *n);
        assert_eq!(
            ended,
            [(0, Err(Unread::NoMemory)), (1, Err(Unread::NoMemory))],
            "no more than have to, and the oldest"
        );
        // The youngest of the three still has its share.
        assert_eq!(bodies.taken(), UNIT);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whatever_it_announced() {
        let bodies = Bodies::new(100 * UNIT);
        let long = bodies.read(&mut body(&[10, 10]), Some(15), 15, TIME).await;
        assert_eq!(long, Err(Unread::TooLarge));
        assert_eq!(bodies.taken(), 0);
    }
}
