//! What a person sees: the program on a real pseudo-terminal.

use std::fs;

use crate::support::terminal::OnTerminal;
use crate::support::*;

/// Starts `bkctld` on a terminal.
fn begin(server: &Server, args: &[&str]) -> OnTerminal {
    OnTerminal::start(server.command(args))
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
}
