//! Yes-or-no questions.

use std::io::{self, BufRead, Write};

use super::{Ui, say};

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes: continue.
    Yes,
    /// No: skip it.
    No,
    /// No answer: standard input is at its end.
    Missing,
}

impl Ui {
    /// Asks until the answer is yes or no, or the input ends.
    pub fn ask(&self, question: &str, explanation: &str) -> Answer {
        let mut input = io::stdin().lock();
        loop {
            let _ = write!(io::stderr(), "{question} [Y,n,?] ");
            let _ = io::stderr().flush();
            let mut answer = String::new();
            match input.read_line(&mut answer) {
                Ok(0) | Err(_) => {
                    // What is said next gets a line of its own.
                    say("");
                    return Answer::Missing;
                }
                Ok(_) => {}
            }
            match answer.trim() {
                "" | "y" | "Y" | "yes" => return Answer::Yes,
                "n" | "N" | "no" => return Answer::No,
                _ => say(explanation),
            }
        }
    }
}
