//! Properties of every configuration.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let path = Path::new("/etc/default/bkctld");
    let env = |name: &str| (name == "HOME").then(|| "/root".to_owned());
    let configuration = match Configuration::parse(path, bytes, &env) {
        Ok(read) => read,
        Err(error) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!(error.line().is_some_and(|line| (1..=lines).contains(&line)), "{error:?}");
            return assert_shown(error);
        }
    };
    let Configuration { settings, warnings, .. } = &configuration;
    warnings.iter().for_each(assert_shown);
    let dirs = [&settings.jail_dir, &settings.inc_dir, &settings.conf_dir, &settings.data_dir];
    for path in dirs.into_iter().chain(&settings.jail_programs) {
        assert!(path.is_absolute(), "{path:?}");
    }
    for inside in [settings.sshd_config.as_path(), Path::new(&settings.canary_relative_file)] {
        assert!(inside.components().all(|part| part != std::path::Component::ParentDir), "{inside:?}");
    }
    assert!(settings.nodes.iter().all(|node| !node.starts_with('-') && !node.contains(char::is_whitespace)));
    assert!(settings.log_level <= 7);
    let thresholds = settings.check_thresholds;
    assert!(thresholds.disk_warning <= 100 && thresholds.disk_critical <= 100);
    assert!(settings.session_limits.per_source <= settings.session_limits.per_jail);
    let without_warnings = Configuration { warnings: Vec::new(), ..configuration.clone() };
    assert_eq!(Configuration::parse(path, &written(&configuration), &env).ok(), Some(without_warnings));
}

/// A file with the same settings.
fn written(configuration: &Configuration) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let Configuration { settings, switches, .. } = configuration;
    let thresholds = settings.check_thresholds;
    let mut out = Vec::new();
    let mut line = |name: &str, value: &[u8]| {
        let quoted = value.iter().flat_map(|byte| match byte {
            b'\'' => b"'\\''".to_vec(),
            byte => vec![*byte],
        });
        out.extend(name.bytes().chain(*b"='").chain(quoted).chain(*b"'\n"));
    };
    for (name, path) in [
        ("BACKUP_PARTITION", &settings.backup_partition),
        ("CONFDIR", &settings.conf_dir),
        ("DATADIR", &settings.data_dir),
        ("JAILDIR", &settings.jail_dir),
        ("INCDIR", &settings.inc_dir),
        ("ARCHIVESDIR", &settings.archives_dir),
        ("TPLDIR", &settings.tpl_dir),
        ("LOCALTPLDIR", &settings.local_tpl_dir),
        ("LOCKDIR", &settings.lock_dir),
        ("SSHD_CONFIG", &settings.sshd_config),
        ("AUTHORIZED_KEYS", &settings.authorized_keys),
    ] {
        line(name, path.as_os_str().as_bytes());
    }
    for (name, text) in [
        ("BACKUP_DISK", settings.backup_disk.clone()),
        ("CANARY_RELATIVE_FILE", settings.canary_relative_file.clone()),
        ("LOGLEVEL", settings.log_level.to_string()),
        ("WARNING", thresholds.warning.to_string()),
        ("CRITICAL", thresholds.critical.to_string()),
        ("INCTIME_WARNING", thresholds.inctime_warning.to_string()),
        ("INCTIME_CRITICAL", thresholds.inctime_critical.to_string()),
        ("DISK_WARNING", thresholds.disk_warning.to_string()),
        ("DISK_CRITICAL", thresholds.disk_critical.to_string()),
        ("NODE", settings.nodes.join(" ")),
        ("FORCE", u8::from(switches.force).to_string()),
        ("HEADER", u8::from(switches.header).to_string()),
        ("DRY_RUN", u8::from(switches.dry_run).to_string()),
        ("SERVICE", format!("{:?}", settings.service).to_lowercase()),
        ("MAX_SESSIONS", settings.session_limits.per_jail.to_string()),
        ("MAX_SESSIONS_PER_SOURCE", settings.session_limits.per_source.to_string()),
    ] {
        line(name, text.as_bytes());
    }
    match &settings.firewall {
        Firewall::None => line("FIREWALL", b"none"),
        Firewall::Nftables => line("FIREWALL", b"nftables"),
        Firewall::RulesFile(path) => line("FIREWALL_RULES", path.as_os_str().as_bytes()),
    }
    let programs: Vec<_> = settings.jail_programs.iter().map(|path| path.as_os_str().as_bytes()).collect();
    line("JAIL_PROGRAMS", &programs.join(&b' '));
    out
}
