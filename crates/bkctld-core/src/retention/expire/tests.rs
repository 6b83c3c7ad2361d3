use std::fs;

use jiff::civil::date;

use super::*;
use crate::inc::IncName;

struct Server {
    _dir: tempfile::TempDir,
    settings: Settings,
    jail: Jail,
}

/// A jail with an inc of the 1st and one of the 2nd of March.
fn server(policy: Option<&str>) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::on_partition(&dir.path().join("backup"));
    settings.conf_dir = dir.path().join("conf");
    settings.lock_dir = dir.path().join("lock");
    let jail = Jail::new(&settings, "web".parse().unwrap());
    for inc in ["2026-03-01-02", "2026-03-02-02"] {
        fs::create_dir_all(jail.inc_dir().join(inc).join("d")).unwrap();
    }
    if let Some(policy) = policy {
        fs::create_dir_all(jail.conf_dir()).unwrap();
        fs::write(jail.incs_policy(), policy).unwrap();
    }
    Server { _dir: dir, settings, jail }
}

impl Server {
    fn expire(&self, even_without_rules: bool) -> Result<Option<Plan>> {
        let expiry = Expiry { today: date(2026, 3, 2), even_without_rules };
        let turns = Turns::new(NonZeroUsize::MIN);
        expiry.run(&self.settings, self.jail.name(), &turns, &Progress::default(), &())
    }

    fn incs(&self) -> Vec<String> {
        inc::list(&self.jail).unwrap().iter().map(IncName::to_string).collect()
    }
}

#[test]
fn the_incs_that_no_rule_keeps_are_deleted_and_no_others() {
    let server = server(Some("+%Y-%m-%d.-0day\n"));
    let plan = server.expire(false).unwrap().unwrap();
    assert_eq!((plan.deleted().count(), plan.kept().count()), (1, 1));
    assert_eq!(server.incs(), ["2026-03-02-02"]);
    let again = server.expire(false).unwrap().unwrap();
    assert_eq!((again.deleted().count(), again.kept().count()), (0, 1));
}

#[test]
fn nothing_is_deleted_without_a_policy_or_under_one_that_says_too_little() {
    for (policy, error) in [
        (None, None),
        (Some("# nothing\n"), Some("has no rule")),
        (Some("+%Y-%m-%d.-0day\nnonsense\n"), Some("bad line")),
    ] {
        let server = server(policy);
        match (server.expire(false), error) {
            (Ok(plan), None) => assert_eq!(plan, None),
            (Err(found), Some(error)) => {
                let found = found.to_string();
                assert!(found.starts_with("jail 'web': ") && found.contains(error), "{found}");
            }
            (found, _) => panic!("{policy:?}: {found:?}"),
        }
        assert_eq!(server.incs().len(), 2, "{policy:?}");
    }
}

#[test]
fn an_administrator_who_insists_has_every_inc_of_a_policy_without_a_rule_deleted() {
    let server = server(Some("\n"));
    server.expire(true).unwrap();
    assert_eq!(server.incs(), <[&str; 0]>::default());
}

#[test]
fn where_nothing_expires_nobody_is_waited_for() {
    let server = server(Some("+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n"));
    let _inc = Lock::try_take(&server.jail.incs_lock()).unwrap().unwrap();
    assert_eq!(server.expire(false).unwrap().unwrap().kept().count(), 2);
}
