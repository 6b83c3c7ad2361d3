//! What every command gets: the settings, the terminal, the time; and the way a command acts on
//! one jail or on all of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bkctld_core::check::{CheckPolicy, ExpectedState};
use bkctld_core::{Error, Jail, JailName, Settings, Turns, config, jail, service, text};
use jiff::Zoned;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use crate::ui::question::Answer;

/// One run of the program.
pub struct Context {
    /// The configuration, the environment and the options, merged.
    pub settings: Settings,
    /// The terminal.
    pub ui: Ui,
    /// The time, read once: a run over midnight has one "today".
    pub now: Zoned,
    /// Of the trees that are walked at once, so that none holds up another.
    pub turns: Turns,
}

/// The jails that a command acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every jail.
    All,
    /// One.
    One(JailName),
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Target, Error> {
        match text {
            "all" => Ok(Target::All),
            name => name.parse().map(Target::One),
        }
    }
}

/// What became of a command on one jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// The command did it.
    Done,
    /// There was nothing to do.
    Skipped,
    /// `--dry-run`: the command would do it.
    Would,
    /// The command could not.
    Failed,
}

/// What became of a command on one jail, in words for a person and fields for a program.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What became of it.
    pub outcome: Ended,
    /// The same in words.
    pub message: String,
    /// What the command adds for programs.
    #[serde(flatten)]
    pub details: serde_json::Map<String, serde_json::Value>,
    /// Said as a warning rather than as a notice.
    #[serde(skip)]
    pub warns: bool,
}

impl Outcome {
    /// Of this sort, in these words.
    pub fn new(outcome: Ended, message: impl fmt::Display) -> Outcome {
        Outcome { outcome, message: message.to_string(), details: serde_json::Map::new(), warns: false }
    }

    /// With a field for programs.
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Outcome {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Said as a warning.
    pub fn into_warning(mut self) -> Outcome {
        self.warns = true;
        self
    }
}

/// What is asked before something that cannot be taken back.
pub struct Question<'a> {
    /// What is to be done with the jail; its past form has a `d` more.
    pub verb: &'a str,
    /// What goes with the jail, as it follows its name.
    pub with: &'a dyn Fn(&JailName) -> String,
    /// What a question mark is answered with.
    pub explanation: &'a str,
}

#[derive(Serialize)]
struct JailResult<'a> {
    jail: &'a JailName,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Results<'a, T> {
    results: Vec<JailResult<'a>>,
    #[serde(flatten)]
    beside: T,
}

/// The settings from the file that the option or `BKCTLD_CONFIG` names, else from the usual place.
pub fn read_settings(file: Option<&Path>) -> Result<(Settings, Vec<config::Warning>), Failure> {
    let from_environment =
        std::env::var_os("BKCTLD_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    // Absolute, because a listener that is started with it has another working directory.
    let file = file
        .map(Path::to_path_buf)
        .or(from_environment)
        .map(|file| std::path::absolute(&file).unwrap_or(file));
    Ok(Settings::read(file.as_deref(), &|name| std::env::var(name).ok())?)
}

impl Context {
    /// The jail of this name, of the format that this program acts on.
    pub fn jail(&self, name: &JailName) -> Result<Jail, Failure> {
        let jail = Jail::open(&self.settings, name.clone())?;
        jail.require_current_format()?;
        Ok(jail)
    }

    /// The names of the target's jails; an unknown one is an error. Jails that run without being there are
    /// told, as `stop` acts on them.
    pub fn names(&self, target: &Target) -> Result<Vec<JailName>, Failure> {
        match target {
            Target::All => {
                let listed = jail::list(&self.settings);
                let lost = self.running_without_data(listed.as_deref().unwrap_or_default());
                match (listed, lost) {
                    (Ok(names), None) => Ok(names),
                    (Ok(names), Some(lost)) => {
                        self.ui.warning(&lost);
                        Ok(names)
                    }
                    (Err(error), None) => Err(error.into()),
                    (Err(error), Some(lost)) => Err(Failure::error(format!("{error}; {lost}"))),
                }
            }
            Target::One(name) => match Jail::open(&self.settings, name.clone()) {
                Ok(jail) => Ok(vec![jail.name().clone()]),
                Err(_) if self.runs(name) => {
                    Err(Failure::error(self.on_without_data(name)).with_exit(Exit::NoJail))
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// What becomes of a jail that 'all' leaves out, since its `check_policy` says that it is to be off: out
    /// of service, it must not come back by a boot. By name, or forced, it is no other than the others;
    /// so it is where the policy cannot be read, which the checks tell.
    pub fn left_out(&self, target: &Target, name: &JailName) -> Option<Outcome> {
        if *target != Target::All || self.settings.force {
            return None;
        }
        let policy = CheckPolicy::read(&Jail::new(&self.settings, name.clone())).ok()?;
        (policy.expected_state == ExpectedState::Off).then(|| {
            let why = "its check_policy has EXPECTED_STATE=OFF (-f includes it)";
            Outcome::new(Ended::Skipped, format_args!("jail '{name}' is left as it is: {why}"))
        })
    }

    /// Whether some process of the jail runs, wherever its data is.
    pub fn runs(&self, name: &JailName) -> bool {
        Jail::new(&self.settings, name.clone()).has_processes().unwrap_or_default()
    }

    /// What to say of a jail that runs and is not there.
    pub fn on_without_data(&self, name: &JailName) -> String {
        let jail = Jail::new(&self.settings, name.clone());
        format!(
            "jail '{name}' is on, but {} is not there: mount the backup partition again, or end it by 'bkctld stop {name}'",
            text::path(jail.dir())
        )
    }

    fn running_without_data(&self, listed: &[JailName]) -> Option<String> {
        // Locks that cannot be believed are said by whatever needs them.
        let names = jail::running_without_data(&self.settings, listed).unwrap_or_default();
        let shown: Vec<&str> = names.iter().map(JailName::as_str).collect();
        (!shown.is_empty()).then(|| {
            format!(
                "jails that are on, but not in JAILDIR {}: {} ('bkctld stop all' ends them)",
                text::path(&self.settings.jail_dir),
                shown.join(", ")
            )
        })
    }

    /// Says that another command holds the jail's lock.
    pub fn waiting_for(&self, name: &JailName) {
        self.ui.notice(format_args!("waiting for another command on jail '{name}' to finish"));
    }

    /// Has the jail's listener pick up a changed configuration, if there is one.
    pub fn reload_if_on(&self, jail: &Jail) -> Result<(), Failure> {
        if service::is_on(jail)? {
            service::reload(jail)?;
        }
        Ok(())
    }

    /// Acts on each jail, several at once, says what became of each, and goes on past a failing
    /// one. The exit code is the jail's own where there is one, else an error if any failed.
    pub fn for_each(
        &self,
        command: &str,
        names: &[JailName],
        act: impl Fn(&JailName) -> Result<Outcome, Failure> + Sync,
    ) -> Exit {
        // More than there are processors: most of the time goes into waiting for disks and programs.
        let at_once = std::thread::available_parallelism().map_or(4, |cores| cores.get() * 4);
        self.for_each_at_once(command, names, at_once, act)
    }

    /// As [`Context::for_each`], for what cannot be taken back: asks for each jail first, unless forced.
    /// Where the answer is no, nothing is done about that jail; where there is none, about no further jail.
    pub fn for_each_agreed(
        &self,
        command: &str,
        names: &[JailName],
        question: &Question<'_>,
        act: impl Fn(&JailName) -> Result<Outcome, Failure> + Sync,
    ) -> Exit {
        let agreed = if self.settings.force || self.settings.dry_run {
            names.to_vec()
        } else {
            self.agreed(names, question)
        };
        if agreed.is_empty() && !names.is_empty() {
            return Exit::AnsweredNo;
        }
        match self.for_each_at_once(command, &agreed, crate::limits::trees_at_once(), act) {
            Exit::Done if agreed.len() < names.len() => Exit::AnsweredNo,
            exit => exit,
        }
    }

    /// The jails for which the answer is yes.
    fn agreed(&self, names: &[JailName], question: &Question<'_>) -> Vec<JailName> {
        let mut agreed = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let with = (question.with)(name);
            let asked = format!("Are you sure you want to {} jail '{name}'{with}?", question.verb);
            match self.ui.ask(&asked, question.explanation) {
                Answer::Yes => agreed.push(name.clone()),
                Answer::No => {}
                Answer::Missing => {
                    let stay = match names.len() - at {
                        1 => format!("jail '{name}' is"),
                        many => format!("{many} jails are"),
                    };
                    self.ui.error(format_args!(
                        "{stay} not {}d: no answer on standard input (--force asks nothing)",
                        question.verb
                    ));
                    break;
                }
            }
        }
        agreed
    }

    /// The same, so many at once.
    pub fn for_each_at_once(
        &self,
        command: &str,
        names: &[JailName],
        at_once: usize,
        act: impl Fn(&JailName) -> Result<Outcome, Failure> + Sync,
    ) -> Exit {
        let (results, exit) = self.results(names, at_once, act);
        if self.ui.json() {
            self.ui.document(command, Results { results, beside: () });
        }
        exit
    }

    /// The same one jail after the other, with something beside the results in the document: for what
    /// is done for all jails at once.
    pub fn for_each_beside(
        &self,
        command: &str,
        names: &[JailName],
        beside: impl Serialize,
        act: impl Fn(&JailName) -> Result<Outcome, Failure> + Sync,
    ) -> Exit {
        let (results, exit) = self.results(names, 1, act);
        if self.ui.json() {
            self.ui.document(command, Results { results, beside });
        }
        exit
    }

    fn results<'a>(
        &self,
        names: &'a [JailName],
        at_once: usize,
        act: impl Fn(&JailName) -> Result<Outcome, Failure> + Sync,
    ) -> (Vec<JailResult<'a>>, Exit) {
        let results = in_parallel(names, at_once, |name| self.logged(name, || act(name)));
        let exit = match results.as_slice() {
            [(_, exit)] => *exit,
            all if all.iter().any(|(_, exit)| *exit != Exit::Done) => Exit::Error,
            _ => Exit::Done,
        };
        let results =
            names.iter().zip(results).map(|(jail, (outcome, _))| JailResult { jail, outcome }).collect();
        (results, exit)
    }

    /// Acts, says what became of it, and logs begin and end.
    fn logged(&self, name: &JailName, act: impl FnOnce() -> Result<Outcome, Failure>) -> (Outcome, Exit) {
        let Some(log) = self.ui.log() else { return self.said(act()) };
        log.begin(name);
        let began = Instant::now();
        let (outcome, exit) = self.said(act());
        log.end(&outcome, began.elapsed());
        (outcome, exit)
    }

    /// Says it on the terminal only: the log has it with the time that it took.
    fn said(&self, result: Result<Outcome, Failure>) -> (Outcome, Exit) {
        match result {
            Ok(outcome) if outcome.warns => {
                self.ui.show_warning(&outcome.message);
                (outcome, Exit::Done)
            }
            Ok(outcome) => {
                if outcome.outcome == Ended::Would && !self.ui.json() {
                    self.ui.line(&outcome.message);
                } else {
                    self.ui.show_notice(&outcome.message);
                }
                (outcome, Exit::Done)
            }
            Err(failure) => {
                self.ui.show_error(&failure);
                let exit = failure.exit;
                (Outcome::new(Ended::Failed, failure), exit)
            }
        }
    }
}

/// What becomes of each jail, so many at once, in the order of the names.
pub fn in_parallel<T: Send>(
    names: &[JailName],
    at_once: usize,
    act: impl Fn(&JailName) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(names.len()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(name) = names.get(at) else { return };
            let result = act(name);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once.min(names.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
