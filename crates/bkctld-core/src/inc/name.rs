//! The name of an inc: the local time it was taken, to the hour.

use std::fmt;
use std::str::FromStr;

use jiff::Zoned;
use jiff::civil::Date;

use crate::error::Error;

/// `YYYY-MM-DD-HH`, a date that exists and an hour from 00 to 23. Ordered by time.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct IncName {
    date: Date,
    hour: i8,
}

impl IncName {
    /// The name of an inc taken now.
    pub fn at(now: &Zoned) -> IncName {
        IncName { date: now.date(), hour: now.hour() }
    }

    /// The day, which is what retention speaks of.
    pub fn date(self) -> Date {
        self.date
    }

    /// The hour of the day, from 0 to 23.
    pub fn hour(self) -> i8 {
        self.hour
    }
}

impl FromStr for IncName {
    type Err = Error;

    fn from_str(text: &str) -> Result<IncName, Error> {
        let invalid = || {
            Error::invalid(format!(
                "'{}' is not the name of an inc (YYYY-MM-DD-HH)",
                crate::text::printable(text.as_bytes())
            ))
        };
        let shape = text.len() == 13
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 | 10 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return Err(invalid());
        }
        let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().map_err(|_| invalid());
        let (month, day, hour) = (number(5..7)? as i8, number(8..10)? as i8, number(11..13)? as i8);
        let date = Date::new(number(0..4)?, month, day).map_err(|_| invalid())?;
        if hour > 23 {
            return Err(invalid());
        }
        Ok(IncName { date, hour })
    }
}

impl fmt::Display for IncName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!(
            "{:04}-{:02}-{:02}-{:02}",
            self.date.year(),
            self.date.month(),
            self.date.day(),
            self.hour
        ))
    }
}

impl TryFrom<String> for IncName {
    type Error = Error;

    fn try_from(text: String) -> Result<IncName, Error> {
        text.parse()
    }
}

impl From<IncName> for String {
    fn from(name: IncName) -> String {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_date_and_an_hour_that_exist_make_a_name() {
        for good in ["2026-03-01-00", "2024-02-29-23", "0001-01-01-00"] {
            assert_eq!(good.parse::<IncName>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2026-03-01",
            "2026-03-01-24",
            "2026-02-29-00",
            "2026-13-01-00",
            "2026-3-01-000",
            "2026-03-01-00 ",
            ".2026-03-01-0",
            "+026-03-01-00",
            "2026-03-01-0x",
            "２026-03-01-0",
        ] {
            assert!(bad.parse::<IncName>().is_err(), "{bad}");
        }
    }
}
