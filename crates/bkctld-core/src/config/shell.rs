//! Shell-style assignments, read without running them. The original sources its configuration, so real files
//! contain quotes, `export` and references to earlier variables. Everything else that a shell would do (run a
//! command, compute, match a pattern) is an error that names the line, because a silently skipped line is a
//! setting that silently has no effect.
//!
//! The text is bytes, not UTF-8: a comment in Latin-1 is as harmless here as it is to a shell.

use std::collections::{BTreeMap, BTreeSet};

/// Looks a variable of the environment up.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The maximum depth of `${A:-${B:-…}}`: a limit on recursion, far above real use.
const MAX_DEPTH: usize = 16;

/// The maximum size of all references in a text, in bytes: each line can double the value of the previous
/// one, so without a limit one kilobyte of text would fill any memory.
const MAX_EXPANDED: usize = 4 << 20;

/// Variables that a shell sets by itself, so that their value cannot be known here.
const OWN_TO_SHELLS: [&str; 7] = ["IFS", "LINENO", "OPTIND", "PPID", "PS1", "PS2", "PS4"];

/// The contents of a text of assignments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// The assignments in the order of the text; the last one for a name counts.
    pub assignments: Vec<Assignment>,
    /// Every name to which the text refers.
    pub references: BTreeSet<String>,
}

/// A variable with the value that a line gives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The name of the variable.
    pub name: String,
    /// The value, with every reference replaced.
    pub value: Vec<u8>,
    /// The line on which it begins, counted from 1.
    pub line: usize,
}

/// The reason why a text was not understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The number of the line, counted from 1.
    pub line: usize,
    /// The fault in that line.
    pub reason: String,
}

/// Parses a whole text. `env` returns the values of names that the text did not set; a name that it does not
/// know is empty, as in a shell.
pub(crate) fn parse(text: &[u8], env: &Env<'_>) -> Result<Script, Fault> {
    let values = BTreeMap::new();
    let mut parser = Parser { text, at: 0, line: 1, env, values, expanded: 0, script: Script::default() };
    parser.script()?;
    Ok(parser.script)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    env: &'a Env<'a>,
    values: BTreeMap<String, Vec<u8>>,
    /// The number of bytes by which references were replaced so far, including unused defaults.
    expanded: usize,
    script: Script,
}

type Parsed<T = ()> = Result<T, Fault>;

impl Parser<'_> {
    fn script(&mut self) -> Parsed {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Ok(()),
                Some(b'\n') => self.advance(1),
                Some(b'#') => self.skip_comment(),
                Some(_) => self.command()?,
            }
        }
    }

    /// One or more assignments, with or without `export`, up to the end of the command.
    fn command(&mut self) -> Parsed {
        let line = self.line;
        let name = self.name();
        if name == "export" && matches!(self.peek(), Some(b' ' | b'\t' | b'\\')) {
            return self.export();
        }
        self.assignment(name, line)?;
        while !self.at_end_of_command()? {
            let (line, name) = (self.line, self.name());
            self.assignment(name, line)?;
        }
        Ok(())
    }

    /// The words after `export`. A shell expands all of them before it assigns the first one.
    fn export(&mut self) -> Parsed {
        let mut exported = Vec::new();
        let mut words = 0;
        while !self.at_end_of_command()? {
            let (line, name) = (self.line, self.name());
            words += 1;
            match self.peek() {
                None | Some(b' ' | b'\t' | b'\n' | b';') if !name.is_empty() => {}
                _ => exported.push(self.value_of(name, line)?),
            }
        }
        if words == 0 {
            return self.fault("'export' needs the name of a variable");
        }
        exported.into_iter().for_each(|assignment| self.set(assignment));
        Ok(())
    }

    fn assignment(&mut self, name: String, line: usize) -> Parsed {
        let assignment = self.value_of(name, line)?;
        self.set(assignment);
        Ok(())
    }

    fn set(&mut self, assignment: Assignment) {
        self.values.insert(assignment.name.clone(), assignment.value.clone());
        self.script.assignments.push(assignment);
    }

    /// `=` and the value after it.
    fn value_of(&mut self, name: String, line: usize) -> Parsed<Assignment> {
        if name.is_empty() || self.peek() != Some(b'=') {
            return self.no_assignment(&name);
        }
        self.advance(1);
        let mut value = Vec::new();
        self.word(&mut value, Place { ends_at_brace: false, depth: 0 })?;
        Ok(Assignment { name, value, line })
    }

    /// The error for a word in place of an assignment.
    fn no_assignment<T>(&mut self, name: &str) -> Parsed<T> {
        let rest = &self.text[self.at..];
        let blank = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        match rest.get(blank) {
            Some(b'=') if !name.is_empty() && blank > 0 => {
                return self.fault(&format!("blank between '{name}' and '='"));
            }
            Some(b'+') if !name.is_empty() && rest.get(1) == Some(&b'=') => {
                return self.fault(&format!("'{name}+=' is not an assignment that every shell knows"));
            }
            Some(b'[') if !name.is_empty() && blank == 0 => {
                return self.fault(&format!("'{name}[…]' is an array, which is not supported"));
            }
            _ => {}
        }
        let end = rest.iter().position(|byte| b" \t\n;".contains(byte)).unwrap_or(rest.len());
        let shown = format!("{name}{}", crate::text::printable(&rest[..end.min(40)]));
        self.fault(&format!("'{shown}' is not an assignment: write NAME=value, and quote values with blanks"))
    }

    /// Whether the command ends here; if so, its end is consumed.
    fn at_end_of_command(&mut self) -> Parsed<bool> {
        self.skip_blanks();
        match self.peek() {
            None => Ok(true),
            Some(b'\n' | b';') => {
                self.advance(1);
                Ok(true)
            }
            Some(b'#') => {
                self.skip_comment();
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    /// A word up to its end, or up to the brace that ends a reference.
    fn word(&mut self, out: &mut Vec<u8>, place: Place) -> Parsed {
        let mut tilde_counts = true;
        loop {
            let Some(byte) = self.peek() else {
                return if place.ends_at_brace { self.fault("'${' without '}'") } else { Ok(()) };
            };
            match byte {
                b'}' if place.ends_at_brace => return Ok(()),
                b' ' | b'\t' | b'\n' | b';' if !place.ends_at_brace => return Ok(()),
                b'&' | b'|' | b'<' | b'>' | b'(' | b')' if !place.ends_at_brace => {
                    return self.fault(&format!("'{}' outside quotes is not supported", byte as char));
                }
                b'~' if tilde_counts => {
                    return self.fault("'~' is not expanded: write the path, or $HOME");
                }
                b'\'' => self.single_quoted(out)?,
                b'"' => self.double_quoted(out, place)?,
                b'\\' => self.escaped(out)?,
                b'$' => self.reference(out, Quotes::None, place.depth)?,
                b'`' => return self.fault("'`': commands are not run"),
                _ => self.plain(out)?,
            }
            // A shell expands '~' at the beginning of a value and after ':'.
            tilde_counts = byte == b':' || (byte == b'\\' && out.is_empty());
        }
    }

    fn single_quoted(&mut self, out: &mut Vec<u8>) -> Parsed {
        let begin = self.line;
        self.advance(1);
        while self.peek() != Some(b'\'') {
            if self.peek().is_none() {
                return Err(Fault { line: begin, reason: "' is never closed".into() });
            }
            self.plain(out)?;
        }
        self.advance(1);
        Ok(())
    }

    fn double_quoted(&mut self, out: &mut Vec<u8>, place: Place) -> Parsed {
        let begin = self.line;
        self.advance(1);
        loop {
            match self.peek() {
                None => return Err(Fault { line: begin, reason: "\" is never closed".into() }),
                Some(b'"') => break,
                Some(_) => self.quoted_byte(out, b"$`\"\\", place.depth)?,
            }
        }
        self.advance(1);
        Ok(())
    }

    /// One element within double quotes; `escapable` are the bytes that a backslash protects.
    fn quoted_byte(&mut self, out: &mut Vec<u8>, escapable: &[u8], depth: usize) -> Parsed {
        match (self.peek(), self.text.get(self.at + 1)) {
            (Some(b'\\'), Some(b'\n')) => self.advance(2),
            (Some(b'\\'), Some(next)) if escapable.contains(next) => {
                self.advance(1);
                self.plain(out)?;
            }
            (Some(b'$'), _) => self.reference(out, Quotes::Double, depth)?,
            (Some(b'`'), _) => return self.fault("'`': commands are not run"),
            _ => self.plain(out)?,
        }
        Ok(())
    }

    /// A backslash outside quotes, and the byte that it protects.
    fn escaped(&mut self, out: &mut Vec<u8>) -> Parsed {
        self.advance(1);
        match self.peek() {
            Some(b'\n') => self.advance(1),
            Some(_) => self.plain(out)?,
            None => return self.fault("'\\' at the end of the file"),
        }
        Ok(())
    }

    /// `$NAME`, `${NAME}`, `${NAME:-word}`, or a `$` that stands for itself.
    fn reference(&mut self, out: &mut Vec<u8>, quotes: Quotes, depth: usize) -> Parsed {
        self.advance(1);
        match self.peek() {
            Some(b'{') => self.braced(out, quotes, depth),
            Some(b'(') => self.fault("'$(': commands are not run and nothing is computed"),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.name();
                if self.rest_begins(b"\\\n") {
                    return self.fault(&format!("line continued after ${name}: write ${{{name}}}"));
                }
                let value = self.value(name)?;
                out.extend_from_slice(&value);
                Ok(())
            }
            Some(byte) if byte.is_ascii_digit() || b"$?!#*@-".contains(&byte) => {
                self.fault(&format!("'${}' has a meaning only in a running shell", byte as char))
            }
            Some(b'\'' | b'"' | b'[') if quotes == Quotes::None => {
                self.fault("'$' before a quote or bracket: shells disagree about its meaning; write \\$")
            }
            Some(b'\\') if self.rest_begins(b"\\\n") => self.fault("line continued after '$'"),
            _ => {
                out.push(b'$');
                Ok(())
            }
        }
    }

    fn braced(&mut self, out: &mut Vec<u8>, quotes: Quotes, depth: usize) -> Parsed {
        const FORMS: &str = "in braces, only ${NAME} and ${NAME:-word} are supported";
        let begin = self.line;
        self.advance(1);
        let name = self.name();
        if name.is_empty() {
            return self.fault(FORMS);
        }
        if depth == MAX_DEPTH {
            return self.fault("references are nested too deeply");
        }
        let value = self.value(name)?;
        if self.peek() == Some(b'}') {
            out.extend_from_slice(&value);
        } else if self.rest_begins(b":-") {
            self.advance(2);
            let mut word = Vec::new();
            let read = match quotes {
                Quotes::None => self.word(&mut word, Place { ends_at_brace: true, depth: depth + 1 }),
                Quotes::Double => self.default_in_quotes(&mut word, depth + 1),
            };
            // An unclosed brace would include the rest of the file: the error names the line where it begins.
            read.map_err(|fault| if self.peek().is_none() { Fault { line: begin, ..fault } } else { fault })?;
            out.extend_from_slice(if value.is_empty() { &word } else { &value });
        } else {
            return self.fault(FORMS);
        }
        self.advance(1);
        Ok(())
    }

    /// The word of `"${NAME:-word}"`, where a single quote is a plain character.
    fn default_in_quotes(&mut self, out: &mut Vec<u8>, depth: usize) -> Parsed {
        loop {
            match self.peek() {
                None => return self.fault("'${' without '}'"),
                Some(b'}') => return Ok(()),
                Some(b'"') => return self.fault("quotes within quotes: write the default without its own"),
                Some(_) => self.quoted_byte(out, b"$`\"\\}", depth)?,
            }
        }
    }

    fn value(&mut self, name: String) -> Parsed<Vec<u8>> {
        let expanded = self.expanded + self.values.get(&name).map_or(0, Vec::len);
        if expanded > MAX_EXPANDED {
            return self.fault(&format!(
                "with '${name}' the references add up to more than {} MiB",
                MAX_EXPANDED >> 20
            ));
        }
        self.expanded = expanded;
        let value = match self.values.get(&name) {
            Some(value) => value.clone(),
            None if OWN_TO_SHELLS.contains(&name.as_str()) => {
                return self.fault(&format!("'${name}' has a value only in a running shell"));
            }
            None => (self.env)(&name).unwrap_or_default().into_bytes(),
        };
        self.script.references.insert(name);
        Ok(value)
    }

    /// A byte that stands for itself.
    fn plain(&mut self, out: &mut Vec<u8>) -> Parsed {
        match self.peek() {
            Some(0) => self.fault("a zero byte: this is not a text file"),
            Some(b'\r') => self.fault("a carriage return: the file must have Unix line ends"),
            Some(byte) => {
                out.push(byte);
                self.advance(1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The longest name that begins here; may be empty.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            let fits =
                byte.is_ascii_alphabetic() || byte == b'_' || (byte.is_ascii_digit() && !name.is_empty());
            if !fits {
                break;
            }
            name.push(byte as char);
            self.advance(1);
        }
        name
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.advance(1),
                Some(b'\\') if self.rest_begins(b"\\\n") => self.advance(2),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.advance(1);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest_begins(&self, with: &[u8]) -> bool {
        self.text[self.at..].starts_with(with)
    }

    fn advance(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        self.line += self.text[self.at..end].iter().filter(|byte| **byte == b'\n').count();
        self.at = end;
    }

    fn fault<T>(&self, reason: &str) -> Parsed<T> {
        Err(Fault { line: self.line, reason: reason.to_owned() })
    }
}

/// The position of a word.
#[derive(Clone, Copy)]
struct Place {
    /// The word is the default of a reference, which ends at `}` and may contain blanks.
    ends_at_brace: bool,
    /// The number of references around the word.
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Double,
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
