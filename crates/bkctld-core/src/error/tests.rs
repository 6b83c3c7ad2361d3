use super::*;

fn web() -> JailName {
    "web".parse().unwrap()
}

#[test]
fn an_error_is_one_line_of_jail_server_message_cause_and_hint() {
    let error = Error::io("cannot read", Path::new("/x"), io::Error::from(io::ErrorKind::NotFound));
    assert_eq!(error.to_string(), "cannot read /x: entity not found");
    let error = error.with_hint("mount it").on_node("b2").in_jail(&web());
    assert_eq!(error.to_string(), "jail 'web': node 'b2': cannot read /x: entity not found (mount it)");
    assert_eq!(error.message(), "cannot read /x: entity not found");
    let error = error.wrap("nothing was changed").also("jail 'web' is off");
    let line = "nothing was changed: jail 'web': node 'b2': cannot read /x: entity not found; jail 'web' is off (mount it)";
    assert_eq!(error.to_string(), line);
}

#[test]
fn what_is_known_of_the_cause_is_known_of_what_it_caused() {
    let cause = Error::bad_line(Path::new("/p"), 3, "no\x1brule").with_hint("mend it").in_jail(&web());
    assert_eq!(cause.to_string(), "jail 'web': /p:3: no\\u{1b}rule (mend it)");
    let error = cause.wrap("no inc was deleted");
    assert_eq!(error.kind(), ErrorKind::BadFile);
    assert_eq!((error.path(), error.line()), (Some(Path::new("/p")), Some(3)));
    assert_eq!((error.jail(), error.hint()), (Some(&web()), Some("mend it")));
}

#[test]
fn a_message_that_names_its_jail_does_not_name_it_twice() {
    for error in
        [Error::no_such_jail(&web()), Error::jail_exists(&web()), Error::wrong_format(&web(), "1", 2)]
    {
        let error = error.in_jail(&web());
        assert_eq!(error.to_string().matches("jail 'web'").count(), error.names(), "{error}");
        assert_eq!(error.jail(), Some(&web()));
    }
}

impl Error {
    /// "no jail named 'web'" has the words in another order.
    fn names(&self) -> usize {
        usize::from(self.kind() != ErrorKind::NoSuchJail)
    }
}

#[test]
fn what_the_kernel_says_of_a_full_disk_is_a_kind_of_its_own() {
    let full = Error::io("cannot write", Path::new("/x"), rustix::io::Errno::NOSPC);
    let quota = Error::io("cannot write", Path::new("/x"), rustix::io::Errno::DQUOT);
    let other = Error::io("cannot write", Path::new("/x"), rustix::io::Errno::IO);
    assert_eq!(
        [full, quota, other].map(|error| error.kind()),
        [ErrorKind::NoSpace, ErrorKind::NoSpace, ErrorKind::Io]
    );
}

#[test]
fn a_foreign_cause_that_quotes_control_characters_cannot_steer_a_terminal() {
    let quoting = std::io::Error::other("unknown field `\x1b[2J\n`");
    let error = Error::bad_file(Path::new("/p"), "cannot be read").because(quoting);
    for shown in [error.to_string(), error.message(), format!("{error:?}")] {
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}

#[test]
fn the_names_of_the_kinds_differ() {
    let names: std::collections::BTreeSet<_> = ErrorKind::ALL.map(ErrorKind::name).into();
    assert_eq!(names.len(), ErrorKind::ALL.len());
}
