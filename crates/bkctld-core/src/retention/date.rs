//! The calendar of a rule: a pattern that is filled in with today's date, and a distance to go back from the
//! result.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;

/// A unit of the distance that a rule goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// One day.
    Day,
    /// Seven days.
    Week,
    /// A month, however long.
    Month,
    /// Twelve months.
    Year,
}

impl Unit {
    /// The unit with this name, singular or plural, in upper or lower case, as accepted by GNU date.
    pub(super) fn named(name: &str) -> Option<Unit> {
        let name = name.to_ascii_lowercase();
        match name.strip_suffix('s').unwrap_or(&name) {
            "day" => Some(Unit::Day),
            "week" => Some(Unit::Week),
            "month" => Some(Unit::Month),
            "year" => Some(Unit::Year),
            _ => None,
        }
    }

    /// The maximum number of this unit that a rule may go back: about a thousand years. More is a typing
    /// error, and would leave the calendar.
    pub(super) fn most(self) -> u32 {
        match self {
            Unit::Day => 365_000,
            Unit::Week => 52_000,
            Unit::Month => 12_000,
            Unit::Year => 1_000,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Month => "month",
            Unit::Year => "year",
        })
    }
}

/// The distance that a rule goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    /// The number of units.
    pub count: u32,
    /// The unit of the distance.
    pub unit: Unit,
}

impl Distance {
    /// The day that is this far before `date`; none if the calendar does not reach that far.
    ///
    /// Months are calculated as by GNU date: only the number of the month changes, and a day that this month
    /// does not have runs over into the next one (2026-03-31 minus one month is 2026-03-03). Calendar
    /// libraries stop at the end of the month instead, which would keep another inc.
    pub fn before(self, date: Date) -> Option<Date> {
        let count = i64::from(self.count);
        let day = match self.unit {
            Unit::Day => date.checked_sub(count.days()),
            Unit::Week => date.checked_sub((7 * count).days()),
            Unit::Month => months_before(date, count),
            Unit::Year => months_before(date, 12 * count),
        };
        // No inc can have a name in the year 0 or before.
        day.ok().filter(|day| day.year() >= 1)
    }
}

fn months_before(date: Date, months: i64) -> Result<Date, jiff::Error> {
    let first = date.first_of_month().checked_sub(months.months())?;
    first.checked_add((i64::from(date.day()) - 1).days())
}

/// The part of a rule before its dot: literal text and conversions such as `%Y`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Field { field: Field, padded: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    YearOfCentury,
    Month,
    Day,
}

impl Pattern {
    /// Parses the pattern, without its `+`. The error names an unknown conversion, or says that the pattern
    /// is not a date on any day of a year.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                pieces.push(Piece::Literal(c));
                continue;
            }
            let conversion = chars.next();
            let (padded, letter) = match conversion {
                Some('-') => (false, chars.next()),
                Some('0') => (true, chars.next()),
                other => (true, other),
            };
            let plain = conversion == letter;
            match letter {
                Some('F') if plain => pieces.extend(fields(&[Field::Year, Field::Month, Field::Day], '-')),
                Some('D') if plain => {
                    pieces.extend(fields(&[Field::Month, Field::Day, Field::YearOfCentury], '/'))
                }
                Some('Y') => pieces.push(Piece::Field { field: Field::Year, padded }),
                Some('y') => pieces.push(Piece::Field { field: Field::YearOfCentury, padded }),
                Some('m') => pieces.push(Piece::Field { field: Field::Month, padded }),
                Some('d') => pieces.push(Piece::Field { field: Field::Day, padded }),
                Some(letter) => return Err(format!("%{letter} is not part of a date: use %Y, %m and %d")),
                None => return Err("'%' at the end of the pattern".to_owned()),
            }
        }
        let pattern = Pattern(pieces);
        if pattern.is_ever_a_date() {
            Ok(pattern)
        } else {
            Err(format!("'+{text}' does not give a date, unlike +%Y-%m-%d and +%Y-%m-01"))
        }
    }

    /// The date that the pattern gives when filled in with today's date; none if that date does not exist,
    /// such as the 31st of a shorter month.
    pub(super) fn on(&self, today: Date) -> Option<Date> {
        read_date(&self.fill(today))
    }

    fn fill(&self, today: Date) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            let (value, width) = match piece {
                Piece::Literal(c) => {
                    out.push(*c);
                    continue;
                }
                Piece::Field { field, padded } => {
                    let (value, width) = match field {
                        Field::Year => (today.year(), 4),
                        Field::YearOfCentury => (today.year().rem_euclid(100), 2),
                        Field::Month => (today.month().into(), 2),
                        Field::Day => (today.day().into(), 2),
                    };
                    (value, if *padded { width } else { 1 })
                }
            };
            out.push_str(&format!("{value:0width$}"));
        }
        out
    }

    /// Tries each day of a leap year and of another year: a pattern that is not a date on any of them never
    /// is.
    fn is_ever_a_date(&self) -> bool {
        // Each piece gives at least one character, and no date is longer than YYYY-MM-DD.
        if self.0.len() > "YYYY-MM-DD".len() {
            return false;
        }
        let first = jiff::civil::date(2023, 7, 1);
        first.series(1.day()).take(2 * 366).any(|day| self.on(day).is_some())
    }
}

fn fields(fields: &[Field], separator: char) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for &field in fields {
        if !pieces.is_empty() {
            pieces.push(Piece::Literal(separator));
        }
        pieces.push(Piece::Field { field, padded: true });
    }
    pieces
}

/// Parses the filled-in pattern like GNU date: `Y-M-D`, `Y/M/D`, `M/D/Y`, `YYYYMMDD`, `YYMMDD`. Its other
/// forms (names of months, a time alone) depend on the language or are not dates.
fn read_date(text: &str) -> Option<Date> {
    let parts =
        |separator| -> Option<[&str; 3]> { text.split(separator).collect::<Vec<_>>().try_into().ok() };
    if let Some([year, month, day]) = parts('-') {
        return to_date(year, month, day);
    }
    if let Some([first, second, third]) = parts('/') {
        return if first.len() >= 4 { to_date(first, second, third) } else { to_date(third, first, second) };
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let split = text.len().checked_sub(4).filter(|year| digits && (*year == 2 || *year == 4))?;
    to_date(&text[..split], &text[split..split + 2], &text[split + 2..])
}

fn to_date(year: &str, month: &str, day: &str) -> Option<Date> {
    let number = |text: &str, digits: &[usize]| -> Option<i16> {
        let fits = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| fits)
    };
    let full_year = match (number(year, &[2, 4])?, year.len()) {
        (of_century @ 0..=68, 2) => 2000 + of_century,
        (of_century, 2) => 1900 + of_century,
        (year, _) => year,
    };
    let small = |text| number(text, &[1, 2]).and_then(|number| i8::try_from(number).ok());
    Date::new(full_year, small(month)?, small(day)?).ok().filter(|date| date.year() >= 1)
}
