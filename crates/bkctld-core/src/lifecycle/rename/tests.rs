use super::super::tests::Server;
use super::intent::unfinished;
use super::*;
use crate::error::ErrorKind;

fn plan(server: &Server, from: &str, to: &str) -> Result<Vec<Belonging>> {
    let plan = Rename::plan(&server.settings, &from.parse().unwrap(), &to.parse().unwrap())?;
    Ok(plan.steps.iter().map(|step| step.what).collect())
}

#[test]
fn a_rename_leaves_the_configuration_of_a_jail_whose_name_only_ends_otherwise() {
    let server = Server::new();
    let (short, long) = (server.jail("x"), server.jail("x.d"));
    fs::create_dir(short.conf_dir()).unwrap();
    fs::create_dir(long.conf_dir()).unwrap();
    assert_eq!(short.conf_dir(), long.legacy_policy());
    assert_eq!(plan(&server, "x.d", "y").unwrap(), [Belonging::Jail, Belonging::Configuration]);
    assert_eq!(plan(&server, "x", "y").unwrap(), [Belonging::Jail, Belonging::Configuration]);
    // A policy of the one that is still at its old place.
    fs::remove_dir(short.conf_dir()).unwrap();
    fs::write(long.legacy_policy(), "").unwrap();
    assert_eq!(plan(&server, "x", "y").unwrap(), [Belonging::Jail]);
    assert_eq!(
        plan(&server, "x.d", "y").unwrap(),
        [Belonging::Jail, Belonging::Configuration, Belonging::Policy]
    );
}

#[test]
fn a_rename_is_refused_only_where_something_would_be_in_its_way() {
    let server = Server::new();
    let (short, other) = (server.jail("x"), server.jail("a"));
    fs::create_dir(short.conf_dir()).unwrap();
    assert_eq!(plan(&server, "a", "x.d").unwrap(), [Belonging::Jail]);
    fs::write(other.legacy_policy(), "").unwrap();
    let error = plan(&server, "a", "x.d").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetExists, "{error}");
}

#[test]
fn an_interrupted_rename_takes_nothing_of_another_jail_and_loses_no_policy() {
    let server = Server::new();
    let (short, long, other) = (server.jail("x"), server.jail("x.d"), server.jail("a"));
    fs::create_dir(short.conf_dir()).unwrap();
    for (from, to) in [(&long, "y"), (&other, "x.d")] {
        Intent { to: to.to_owned(), service: SavedService::default() }.write(from).unwrap();
        fs::remove_dir_all(from.dir()).unwrap();
    }
    assert_eq!(plan(&server, "x.d", "y").unwrap(), []);
    symlink("somewhere", other.legacy_policy()).unwrap();
    let error = plan(&server, "a", "x.d").unwrap_err().to_string();
    assert!(error.contains("both"), "{error}");
}

#[test]
fn a_jail_that_is_removed_or_archived_takes_its_interrupted_rename_along() {
    let server = Server::new();
    type Act = fn(&Settings, &Jail) -> Result<()>;
    let acts: [Act; 2] = [super::super::remove::delete, |settings, jail| {
        let plan = super::super::archive::Archive::plan(settings, jail.name())?;
        plan.move_out(settings, &crate::progress::Progress::default())?;
        Ok(())
    }];
    for act in acts {
        let jail = server.jail("a");
        let service = SavedService { on: true, at_boot: false };
        Intent { to: "b".to_owned(), service }.write(&jail).unwrap();
        act(&server.settings, &jail).unwrap();
        assert!(!jail.exists());
        assert_eq!(unfinished(&server.settings).unwrap(), []);
        let error = plan(&server, "a", "b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSuchJail, "{error}");
    }
}
