//! A session in words.

use bkctld_core::session::{Kind, SessionRecord};
use bkctld_core::text;
use jiff::Zoned;

use super::time::{ago, local, span};

/// The maximum length of a client's command line, in characters.
const COMMAND: usize = 60;

/// An active session.
pub fn running(record: &SessionRecord, now: &Zoned) -> String {
    let who = if record.key.is_some() { doing(record) } else { "not logged in".to_owned() };
    let began = local(record.begin, now);
    format!("for {}, since {began}, from {}: {who}", span(record.begin, now.timestamp()), record.source)
}

/// A finished session.
pub fn finished(record: &SessionRecord, now: &Zoned) -> String {
    let end = record.end.unwrap_or(record.begin);
    let mut line = format!("{}, {}, from {}", local(record.begin, now), ago(end, now), record.source);
    line.push_str(&format!(": {}", doing(record)));
    if let Some(exit) = record.exit {
        line.push_str(&format!(", exit status {exit}"));
    }
    if let Some(ending) = record.ending {
        line.push_str(&format!(", {}", ending.name()));
    }
    let (received, sent) = (text::bytes(record.bytes_in), text::bytes(record.bytes_out));
    line.push_str(&format!(", {received} in, {sent} out, took {}", span(record.begin, end)));
    line
}

fn doing(record: &SessionRecord) -> String {
    match (record.kind, &record.command) {
        (None, _) => "no command".to_owned(),
        (Some(Kind::Command), Some(command)) => {
            let head: String = command.chars().take(COMMAND).collect();
            let more = if head.len() < command.len() { "..." } else { "" };
            format!("command '{head}{more}'")
        }
        (Some(kind), _) => kind.name().to_owned(),
    }
}
