//! The dates of a certificate, which rustls does not tell. Reads so much of its DER as they need.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// First and last moment at which a certificate counts; `None`: it cannot be read.
pub(super) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (certificate, _) = value(certificate, SEQUENCE)?;
    let (signed, _) = value(certificate, SEQUENCE)?;
    // Certificates of the first version do not name it.
    let mut rest = value(signed, VERSION).map_or(signed, |(_, rest)| rest);
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = value(rest, tag)?.1;
    }
    let (dates, _) = value(rest, SEQUENCE)?;
    let (from, rest) = moment(dates)?;
    let (until, _) = moment(rest)?;
    Some((from, until))
}

/// Splits a value with this tag from what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    // A length below 128 is one byte. Otherwise the byte has the number of bytes of the length that
    // follow. More than four of them would be a certificate of gigabytes.
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let digits = usize::from(*length & 0x7f);
    let (digits, rest) = rest.split_at_checked(digits)?;
    if !(1..=4).contains(&digits.len()) {
        return None;
    }
    let length = digits
        .iter()
        .fold(0, |n, digit| n << 8 | usize::from(*digit));
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ` up to 2049, later years with four digits.
fn moment(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let ((text, rest), year_digits) = match value(der, UTC_TIME) {
        Some(found) => (found, 2),
        None => (value(der, GENERALIZED_TIME)?, 4),
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let year = match (number(0, year_digits)?, year_digits) {
        // Two digits stand for the years from 1950 to 2049 (RFC 5280).
        (year, 2) if year < 50 => 2000 + year,
        (year, 2) => 1900 + year,
        (year, _) => year,
    };
    let part = |n: usize| i8::try_from(number(year_digits + 2 * n, year_digits + 2 * n + 2)?).ok();
    let at = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    Some((at.to_zoned(TimeZone::UTC).ok()?.timestamp(), rest))
}
