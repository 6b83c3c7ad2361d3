use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn read(content: &str, env: &Env<'_>) -> Result<Configuration> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conf");
    std::fs::write(&path, content).unwrap();
    super::read(Some(&path), env)
}

fn settings(content: &str) -> Settings {
    let configuration = read(content, &no_env).unwrap();
    assert_eq!((configuration.warnings, configuration.switches), (vec![], Switches::default()));
    Settings { file: None, ..configuration.settings }
}

fn error(content: &str) -> String {
    let error = read(content, &no_env).expect_err(content).to_string();
    error.split_once("/conf:").map(|(_, tail)| tail.to_owned()).unwrap_or(error)
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(settings(""), Settings::default());
    assert_eq!(settings("JAILDIR=\nLOGLEVEL=''\nFIREWALL_RULES=\"\"\nNODE=\n"), Settings::default());
}

#[test]
fn a_real_file_is_read_whole() {
    let settings = settings(
        "# Defaults for bkctld\n\
         export BACKUP_PARTITION='/srv/backup' # the big one\n\
         ROOT=\"${BACKUP_PARTITION}\"\n\
         INCDIR=\"${ROOT}/increments\"\n\
         LOCALTPLDIR=${NOWHERE:-/usr/local/share}/\"bkctld\"\n\
         FIREWALL_RULES=/etc/minifirewall.d/bkctld\n\
         LOGLEVEL=7; WARNING=30\n\
         NODE=\"backup2.example.org root@10.0.0.2\"\n",
    );
    assert_eq!(settings.jail_dir, Path::new("/srv/backup/jails"));
    assert_eq!(settings.inc_dir, Path::new("/srv/backup/increments"));
    assert_eq!(settings.local_tpl_dir, Path::new("/usr/local/share/bkctld"));
    assert_eq!(settings.firewall, Firewall::RulesFile("/etc/minifirewall.d/bkctld".into()));
    assert_eq!(
        (settings.log_level, settings.check_thresholds.warning, settings.check_thresholds.critical),
        (7, 30, 48)
    );
    assert_eq!(settings.nodes, ["backup2.example.org", "root@10.0.0.2"]);
}

#[test]
fn derived_defaults_follow_what_they_derive_from_and_yield_to_what_is_said() {
    let given = settings("IDX_FILE=/i/f\nINDEX_DIR=/idx\nJAILDIR=/j\nBACKUP_PARTITION=/b\n");
    assert_eq!(given.jail_dir, Path::new("/j"));
    assert_eq!(given.inc_dir, Path::new("/b/incs"));
}

#[test]
fn what_is_no_value_is_an_error_with_file_and_line() {
    for (content, expected) in [
        ("\nJAILDIR=$(mktemp)", "2: '$(': commands are not run and nothing is computed"),
        ("INDEX_DIR=index", "1: INDEX_DIR: 'index' is not an absolute path"),
        ("JAILDIR=backup/jails", "1: JAILDIR: 'backup/jails' is not an absolute path"),
        ("LOGLEVEL=8", "1: LOGLEVEL: '8' is not a number from 0 to 7"),
        ("LOGLEVEL=debug", "1: LOGLEVEL: 'debug' is not a number from 0 to 7"),
        ("#\nWARNING=-1", "2: WARNING: '-1' is not a whole number"),
        ("WARNING=+1", "1: WARNING: '+1' is not a whole number"),
        ("CRITICAL=4294967296", "1: CRITICAL: '4294967296' is not a whole number"),
        ("DRY_RUN=yes", "1: DRY_RUN: 'yes' is neither 0 nor 1"),
        ("SERVICE=openrc", "1: SERVICE: 'openrc' is not one of auto, systemd, background"),
        ("MAX_SESSIONS=0", "1: MAX_SESSIONS: must be at least 1"),
        ("MAX_PENALTY=long", "1: MAX_PENALTY: 'long' is not a whole number"),
        ("PENALTY_EXEMPT='192.0.2.1 here'", "1: PENALTY_EXEMPT: 'here' is not an address or network"),
        (
            "MAX_SESSIONS_PER_SOURCE=9\nMAX_SESSIONS=8",
            "1: MAX_SESSIONS_PER_SOURCE: 9 is more than the 8 sessions of the jail (MAX_SESSIONS)",
        ),
        ("JAIL_PROGRAMS=\"/bin/tar gzip\"", "1: JAIL_PROGRAMS: 'gzip' is not an absolute path"),
        ("NODE=-oProxyCommand=x", "1: NODE: '-oProxyCommand=x' is not the name of a server"),
        (
            "CANARY_RELATIVE_FILE=/../x",
            "1: CANARY_RELATIVE_FILE: '/../x' is not a path of a file below the jail",
        ),
        ("SSHD_CONFIG=/", "1: SSHD_CONFIG: '/' is not a path of a file below the jail"),
        ("INCDIR='/a\nb'", "1: INCDIR: a control character"),
    ] {
        assert_eq!(error(content), expected, "{content:?}");
    }
}

#[test]
fn a_value_that_is_no_utf8_is_an_error_but_a_comment_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conf");
    std::fs::write(&path, b"# r\xe9pertoire\nINCDIR=/\xe9\n").unwrap();
    let error = super::read(Some(&path), &no_env).unwrap_err().to_string();
    assert!(error.ends_with("/conf:2: INCDIR: not UTF-8"), "{error}");
}

#[test]
fn a_misspelt_variable_is_warned_of_and_a_helper_is_not() {
    let configuration = read("HELPER=/x\nJAILDIRS=/y\nJAILDIR=$HELPER/j\n", &no_env).unwrap();
    let shown: Vec<String> = configuration.warnings.iter().map(Warning::to_string).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].ends_with("/conf:2: unknown variable 'JAILDIRS' has no effect"), "{shown:?}");
}

#[test]
fn the_environment_overrides_four_variables_and_answers_references() {
    let env = |name: &str| {
        let value = match name {
            "FORCE" | "DRY_RUN" => "1",
            "HEADER" => "0",
            "LOGLEVEL" => "3",
            "HOME" => "/root",
            "JAILDIR" => "/elsewhere",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let Configuration { settings, switches, .. } =
        read("FORCE=0\nHEADER=1\nLOGLEVEL=7\nINCDIR=$HOME/incs\n", &env).unwrap();
    assert_eq!(switches, Switches { force: true, header: false, dry_run: true });
    assert_eq!(settings.log_level, 3);
    assert_eq!(settings.inc_dir, Path::new("/root/incs"));
    assert_eq!(settings.jail_dir, Path::new("/backup/jails"));

    let bad = |name: &str| (name == "FORCE").then(|| "y\n".to_owned());
    assert_eq!(
        read("", &bad).unwrap_err().to_string(),
        "FORCE in the environment: 'y\\n' is neither 0 nor 1"
    );
    let empty = |name: &str| (name == "HEADER").then(String::new);
    assert!(read("", &empty).unwrap().switches.header);
}

#[test]
fn who_is_exempt_from_penalties_is_a_list_of_addresses_and_networks() {
    let limits = settings("MAX_PENALTY=60 PENALTY_EXEMPT='192.0.2.1 2001:db8::/32'").session_limits;
    assert_eq!(limits.max_penalty, 60);
    assert_eq!(limits.penalty_exempt, ["192.0.2.1/32", "2001:db8::/32"].map(|net| net.parse().unwrap()));
    assert_eq!(
        (settings("").session_limits.max_penalty, settings("MAX_PENALTY=0").session_limits.max_penalty),
        (600, 0)
    );
}

#[test]
fn a_limit_of_the_jail_alone_lowers_that_of_one_address() {
    let limits = |content: &str| {
        let limits = settings(content).session_limits;
        (limits.per_jail.get(), limits.per_source.get())
    };
    assert_eq!(limits(""), (40, 20));
    assert_eq!(limits("MAX_SESSIONS=100"), (100, 20));
    assert_eq!(limits("MAX_SESSIONS=5"), (5, 3));
    assert_eq!(limits("MAX_SESSIONS=1"), (1, 1));
    assert_eq!(limits("MAX_SESSIONS=8 MAX_SESSIONS_PER_SOURCE=8"), (8, 8));
}

#[test]
fn a_named_file_must_be_there_and_be_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let error = super::read(Some(&dir.path().join("none")), &no_env).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the configuration "), "{error}");
    assert!(super::read(Some(dir.path()), &no_env).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn directories_that_are_missing_or_files_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::on_partition(dir.path());
    let error = settings.check_dirs().unwrap_err().to_string();
    assert!(error.contains("/jails does not exist (mount the backup partition"), "{error}");
    std::fs::write(&settings.jail_dir, "").unwrap();
    assert!(settings.check_dirs().unwrap_err().to_string().contains("/jails is not a directory"));
    settings.jail_dir = dir.path().to_path_buf();
    settings.lock_dir = dir.path().join("lock");
    assert!(settings.check_dirs().unwrap().is_empty(), "made without a mounted partition");
    std::fs::write(&settings.inc_dir, "").unwrap();
    assert!(settings.check_dirs().unwrap_err().to_string().starts_with("INCDIR "));
}

#[test]
fn a_firewall_is_named_or_follows_from_the_rules_file() {
    let rules = "FIREWALL_RULES=/etc/rules\n";
    for (text, firewall) in [
        (String::new(), Firewall::None),
        (rules.to_owned(), Firewall::RulesFile("/etc/rules".into())),
        (format!("{rules}FIREWALL=minifirewall"), Firewall::RulesFile("/etc/rules".into())),
        (format!("{rules}FIREWALL=none"), Firewall::None),
        (format!("{rules}FIREWALL=nftables"), Firewall::Nftables),
        ("FIREWALL=nftables".to_owned(), Firewall::Nftables),
    ] {
        assert_eq!(settings(&text).firewall, firewall, "{text}");
    }
    assert_eq!(
        error("\nFIREWALL=minifirewall"),
        "2: FIREWALL: minifirewall needs FIREWALL_RULES, the file that it sources"
    );
    assert_eq!(
        error("FIREWALL=iptables"),
        "1: FIREWALL: 'iptables' is not one of none, minifirewall, nftables"
    );
}

#[test]
fn the_default_configuration_of_the_package_shows_what_holds_anyway() {
    let packaged = include_str!("../../../../../debian/configuration");
    let shown: String = packaged
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#').filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(shown.contains("BACKUP_PARTITION=/backup\n"));
    assert_eq!(settings(packaged), Settings::default());
    assert_eq!(settings(&shown), Settings::default());
    // Each name that is asked for stands in these modules, in quotes.
    let sources = concat!(include_str!("../read.rs"), include_str!("../switches.rs"));
    for name in sources.split('"').skip(1).step_by(2) {
        if name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            assert!(packaged.contains(&format!("\n#{name}=")), "{name} is not in it");
        }
    }
}
