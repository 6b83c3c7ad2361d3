//! What the journal of systemd has of a jail.

use crate::machine::Machine;
use crate::suite::Suite;

super::tests![
    journal_and_log_have_the_lines_of_sshd,
    a_line_has_its_jail_command_and_result_as_fields,
    a_session_is_in_the_journal_once_line_by_line,
    an_error_of_a_unit_is_said_once,
    the_level_of_the_log_is_heeded,
];

/// The lines of ours that have these fields, or whatever else journalctl is to ask for.
fn journal(machine: &Machine, arguments: &str) -> String {
    machine.run(&format!(
        "journalctl --sync; journalctl --quiet --output cat --identifier bkctld {arguments} || true"
    ))
}

fn count(text: &str, words: &str) -> usize {
    text.lines().filter(|line| line.contains(words)).count()
}

fn journal_and_log_have_the_lines_of_sshd(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.assert_answers(2222);
    machine.run(
        "journalctl --sync; journalctl --quiet --unit bkctld@web01 | grep 'Accepted publickey for root from'",
    );
    machine.run("bkctld log web01 | grep 'Accepted publickey for root from'");
}

fn a_line_has_its_jail_command_and_result_as_fields(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    let started = journal(&machine, "BKCTLD_JAIL=web01 BKCTLD_COMMAND=start BKCTLD_RESULT=done PRIORITY=5");
    assert_eq!(count(&started, "jail 'web01' started"), 1, "{started}");
    let unit = journal(&machine, "--unit bkctld@web01 BKCTLD_JAIL=web01");
    assert_eq!(count(&unit, "listening on port 2222"), 1, "{unit}");
}

fn a_session_is_in_the_journal_once_line_by_line(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.assert_answers(2222);
    machine.within(
        10,
        "journalctl --sync
        journalctl --quiet --output cat BKCTLD_COMMAND=session | grep 'closed: command from .* exit status 0'",
    );
    let session = machine.run(
        "journalctl --sync
        journalctl --quiet --output json --identifier bkctld BKCTLD_COMMAND=session |
            sed -n 's/.*\"BKCTLD_SESSION\":\"\\([^\"]*\\).*/\\1/p' | head -n 1",
    );
    assert!(!session.is_empty(), "no line has a session");
    let lines = journal(&machine, &format!("BKCTLD_JAIL=web01 BKCTLD_SESSION={session}"));
    assert_eq!(count(&lines, "Accepted publickey"), 1, "{lines}");
    assert!(
        lines.lines().any(|line| line.contains("closed: command from ") && line.contains(" exit status 0"))
    );
    let all = journal(&machine, "--unit bkctld@web01 BKCTLD_COMMAND=session").replace("session web01: ", "");
    let log = machine.run("bkctld log web01 | sed 's/^[^ ]* //'");
    assert!(!log.is_empty());
    for line in log.lines() {
        assert!(all.lines().any(|other| other == line), "not in the journal: {line}\n{all}");
    }
}

fn an_error_of_a_unit_is_said_once(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.fail("systemd-run --quiet --wait --unit once bkctld start no-such-jail");
    let all = machine.run("journalctl --sync; journalctl --quiet --output cat");
    assert_eq!(count(&all, "no jail named 'no-such-jail'"), 1, "{all}");
}

fn the_level_of_the_log_is_heeded(suite: &Suite) {
    let machine = Machine::with_program(suite);
    machine.make_jail("web01", 2222);
    machine.run("LOGLEVEL=4 bkctld ip web01 192.0.2.9");
    assert_eq!(journal(&machine, "BKCTLD_COMMAND=ip"), "", "below the level");
    machine.run("bkctld ip web01 all");
    assert_ne!(journal(&machine, "BKCTLD_COMMAND=ip BKCTLD_RESULT=done"), "");
}
