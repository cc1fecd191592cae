//! Times as people write them.

use jiff::{Span, Timestamp, ToSpan as _, ZonedDateTime, civil};

/// A moment: RFC 3339, a date with a time, a time of day (the last one that has been), or how long ago.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    moment_at(text.trim(), &ZonedDateTime::now())
}

fn moment_at(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let zone = || now.time_zone().clone();
    // A date with a time is a time of day too, to who reads no more than that.
    let moment = if let Ok(datetime) = text.parse::<civil::DateTime>() {
        datetime.to_zoned_datetime(zone())
    } else if let Ok(time) = text.parse::<civil::Time>() {
        let today = now.date().to_datetime(time).to_zoned_datetime(zone());
        today.and_then(|today| if today > *now { today.checked_sub(1.day()) } else { Ok(today) })
    } else if let Some(span) = text.strip_suffix("ago").and_then(|span| span.trim().parse::<Span>().ok()) {
        now.checked_sub(span.abs())
    } else {
        return Err("it is no time: give 14:05, '2026-11-27 14:05', '10 min ago' or RFC 3339".to_owned());
    };
    moment.map(|moment| moment.timestamp()).map_err(|_| "no calendar reaches that far".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Result<String, String> {
        let now: ZonedDateTime = "2026-11-27T14:30:00+01:00[+01:00]".parse().unwrap();
        moment_at(text, &now).map(|moment| moment.to_string())
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("2026-11-27T13:05:00Z", "2026-11-27T13:05:00Z"),
            ("2026-11-27T13:05:00.25+01:00", "2026-11-27T12:05:00.25Z"),
            ("2026-11-26 13:05", "2026-11-26T12:05:00Z"),
            ("2026-11-26", "2026-11-25T23:00:00Z"),
            ("14:05", "2026-11-27T13:05:00Z"),
            ("14:05:07", "2026-11-27T13:05:07Z"),
            // It has not been 15:00 today.
            ("15:00", "2026-11-26T14:00:00Z"),
            ("10 min ago", "2026-11-27T13:20:00Z"),
            ("1h 30m ago", "2026-11-27T12:00:00Z"),
            ("2 days ago", "2026-11-25T13:30:00Z"),
        ] {
            assert_eq!(moment(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is() {
        for text in ["", "soon", "10 min", "25:00", "ago", "2026-13-01"] {
            let error = moment(text).unwrap_err();
            assert!(error.contains("give 14:05"), "{text}: {error}");
        }
        assert_eq!(moment("19000 years ago").unwrap_err(), "no calendar reaches that far");
    }
}
