//! What a person sees: the program on a real pseudo-terminal.

use std::fs;

use crate::support::terminal::{OnTerminal, Shown};
use crate::support::*;

/// Starts `bkctld` on a terminal.
fn begin(server: &Server, args: &[&str]) -> OnTerminal {
    OnTerminal::start(server.command(args))
}

/// Runs `bkctld` on a terminal to its end.
#[track_caller]
fn on_terminal(server: &Server, args: &[&str]) -> Shown {
    begin(server, args).finish()
}

as_root! {
    fn remove_says_which_incs_go_before_it_is_answered() {
        let server = Server::on(FsKind::Ext4);
        server.bkctld(&["init", "a"]).ok();
        for inc in ["2025-01-31-02", "2026-03-01-02", "2026-02-28-23"] {
            fs::create_dir(server.path("backup/incs/a").join(inc)).unwrap();
        }
        let question = "Are you sure you want to delete jail 'a' and its 3 incs, \
                        from 2025-01-31-02 to 2026-03-01-02? [Y,n,?] ";
        let mut asked = begin(&server, &["remove", "a"]);
        asked.answers(question, "?\n");
        asked.answers("n: nothing is done", "n\n");
        asked.finish().exits(101);
        server.bkctld(&["-n", "remove", "a"]).ok().says("its 3 incs, from 2025-01-31-02 to 2026-03-01-02,");
        assert!(server.jail("a").is_dir() && server.incs("a").len() == 3);
        fs::remove_dir(server.path("backup/incs/a/2026-02-28-23")).unwrap();
        fs::remove_dir(server.path("backup/incs/a/2026-03-01-02")).unwrap();
        let mut asked = begin(&server, &["remove", "a"]);
        asked.answers("delete jail 'a' and its inc 2025-01-31-02? [Y,n,?] ", "y\n");
        asked.finish().exits(0);
        assert!(!server.jail("a").exists() && server.incs("a").is_empty());
    }

    fn a_question_without_an_answer_is_a_no_that_names_force() {
        let server = Server::on(FsKind::Ext4);
        for name in ["a", "b", "c"] {
            server.bkctld(&["init", name]).ok();
        }
        let ran = server.bkctld(&["remove", "a"]).exits(101).warns("--force").silent();
        // The question ends its line, so that the answer's absence stands on one of its own.
        assert!(ran.err().ends_with("\nbkctld: jail 'a' is not deleted: no answer on standard input (--force asks nothing)\n"), "{}", ran.told());
        server.bkctld(&["archive", "a"]).exits(101).warns("jail 'a' is not archived: no answer").warns("--force");
        // With `all` it is said once, and what was agreed to before is done.
        let ran = server.bkctld_reading(b"y\n", &["remove", "all"]).exits(101);
        ran.warns("2 jails are not deleted: no answer on standard input (--force asks nothing)");
        assert_eq!(server.bkctld(&["list"]).ok().lines(), ["b", "c"]);
        // On a terminal, an end of input is Ctrl-D.
        let mut asked = begin(&server, &["remove", "b"]);
        asked.answers("[Y,n,?] ", "\u{4}");
        asked.finish().exits(101).shows("jail 'b' is not deleted: no answer");
        // An answer is no surprise.
        let ran = server.bkctld_reading(b"n\n", &["remove", "b"]).exits(101);
        assert!(!ran.err().contains("--force"), "{}", ran.told());
    }

    fn a_progress_line_vanishes_and_mixes_with_no_message() {
        let server = Server::on(FsKind::Ext4);
        for name in ["large", "small"] {
            server.bkctld(&["init", name]).ok();
        }
        sh(&format!("cd {} && seq 40000 | xargs touch", server.data("large").display()));
        let shown = on_terminal(&server, &["inc"]).exits(0);
        let drawn = shown.written.contains(" files, ");
        assert!(drawn, "nothing moved while 40,000 files were copied: {}", shown.told());
        assert_eq!(shown.screen.len(), 2, "{}", shown.told());
        for jail in ["small", "large"] {
            let made = |line: &&String| line.starts_with("bkctld: inc ") && line.ends_with(&format!("of jail '{jail}' made"));
            assert_eq!(shown.screen.iter().filter(made).count(), 1, "{}", shown.told());
        }
        sh(&format!("mv {0}/large/20* {0}/large/2020-01-01-00", server.path("backup/incs").display()));
        let shown = on_terminal(&server, &["rm"]).exits(0);
        assert!(shown.screen.iter().all(|line| line.starts_with("bkctld: jail '")), "{}", shown.told());
    }

    fn nothing_is_drawn_for_nothing() {
        let server = Server::on(FsKind::Ext4);
        let shown = on_terminal(&server, &["rm"]).exits(0);
        assert_eq!(shown.written, "", "no jail, no line");
        let shown = on_terminal(&server, &["inc"]).exits(0);
        assert_eq!(shown.written, "", "no jail, no line");
        for name in ["a", "b"] {
            server.bkctld(&["init", name]).ok();
        }
        server.bkctld(&["inc"]).ok();
        let shown = on_terminal(&server, &["rm"]).exits(0);
        assert_eq!(shown.screen.len(), 2, "{}", shown.told());
        for name in ["a", "b"] {
            assert!(shown.written.contains(&format!("jail '{name}': 0 incs deleted, 1 kept\r\n")), "{}", shown.told());
        }
        assert!(!shown.written.contains('\u{1b}'), "drawn for nothing to delete: {}", shown.told());
    }
}
