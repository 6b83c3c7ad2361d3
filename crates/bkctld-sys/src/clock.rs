//! The local time without a library's database of time zones, which is larger than all else that an
//! idle listener holds.

use std::io;

/// A moment of the server's local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, with all of its four digits.
    pub year: i16,
    /// The month, 1 to 12.
    pub month: i8,
    /// The day of the month, from 1.
    pub day: i8,
    /// The hour, 0 to 23.
    pub hour: i8,
    /// The minute, 0 to 59.
    pub minute: i8,
    /// The second; 60 in a leap second.
    pub second: i8,
}

/// The local time at so many seconds since 1970, as syslog(3) has it.
///
/// # Errors
/// A year that has no four digits.
pub fn local_time(seconds: i64) -> io::Result<LocalTime> {
    let out_of_range = || io::Error::from(io::ErrorKind::InvalidInput);
    let seconds = libc::time_t::try_from(seconds).map_err(|_| out_of_range())?;
    // SAFETY: every field of a tm may be zero, its pointer among them.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live until it returns. It reads TZ; nothing in this
    // program changes the environment while it runs.
    if unsafe { libc::localtime_r(&seconds, &mut tm) }.is_null() {
        return Err(io::Error::last_os_error());
    }
    let year = i16::try_from(i64::from(tm.tm_year) + 1900).ok().filter(|year| (0..=9999).contains(year));
    // The others are below 128, as localtime_r(3) says.
    Ok(LocalTime {
        year: year.ok_or_else(out_of_range)?,
        month: (tm.tm_mon + 1) as i8,
        day: tm.tm_mday as i8,
        hour: tm.tm_hour as i8,
        minute: tm.tm_min as i8,
        second: tm.tm_sec as i8,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_local_time_is_that_of_date() {
        for seconds in [0, 951_782_400, 1_772_323_199, 4_102_444_799] {
            let out =
                Command::new("date").args([&format!("--date=@{seconds}"), "+%Y %m %d %H %M %S"]).output();
            let LocalTime { year, month, day, hour, minute, second } = local_time(seconds).unwrap();
            let ours = format!("{year} {month:02} {day:02} {hour:02} {minute:02} {second:02}\n");
            assert_eq!(ours.as_bytes(), out.unwrap().stdout);
        }
        assert!(local_time(i64::MAX).is_err());
    }
}
