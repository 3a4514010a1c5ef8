//! Python environments with exact versions, kept between runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::output::say;

/// The interpreter that the pins were made with.
const PYTHON: &str = "python3.11";

/// An environment in which everything is installed.
#[derive(Debug)]
pub(crate) struct Venv(PathBuf);

/// Files that say what to install.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Packages, in pip's format.
    pub(crate) requirements: &'a Path,
    /// Bounds and pins for them and for all they need.
    pub(crate) constraints: &'a [&'a Path],
}

impl Venv {
    /// The environment in `folder`: as it is, if the same was installed there before, else made anew.
    /// What fails is tried twice.
    ///
    /// # Errors
    ///
    /// Why it cannot be installed.
    pub(crate) fn ready(folder: &Path, wanted: &Wanted<'_>) -> Result<Self, String> {
        let (venv, stamp_file) = (Self(folder.to_owned()), folder.join("installed"));
        let stamp = wanted.stamp()?;
        if fs::read_to_string(&stamp_file).is_ok_and(|installed| installed == stamp) {
            return Ok(venv);
        }
        venv.install(wanted).or_else(|why| {
            say(format!("installing again: {why}"));
            venv.install(wanted)
        })?;
        // Written last: what was broken off is not mistaken for whole.
        fs::write(&stamp_file, stamp).map_err(|e| format!("{}: {e}", stamp_file.display()))?;
        Ok(venv)
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }

    /// A run of one of its programs.
    pub(crate) fn command(&self, name: &str) -> Command {
        Command::new(self.program(name))
    }

    fn install(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        say(format!("installing {}", self.0.display()));
        run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&self.0))?;
        let mut pip = Command::new(self.program("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--timeout", "30", "--retries", "2", "--requirement"]).arg(wanted.requirements);
        for constraint in wanted.constraints {
            pip.arg("--constraint").arg(constraint);
        }
        run(&mut pip).map(drop)
    }
}

impl Wanted<'_> {
    /// All that decides what is installed.
    fn stamp(&self) -> Result<String, String> {
        let mut stamp = run(Command::new(PYTHON).arg("--version"))?;
        for file in self.constraints.iter().chain([&self.requirements]) {
            let text = fs::read_to_string(file);
            stamp += &text.map_err(|e| format!("{}: {e}", file.display()))?;
        }
        Ok(stamp)
    }
}

/// What a command printed, or the end of its complaint.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let Output { status, stdout, stderr } =
        command.output().map_err(|e| format!("cannot run {program}: {e}"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr });
    Err(format!("{program}: {status}: {}", tail(&said, 3)))
}

/// The last lines of a text as one, each cut at 300 characters.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    let cut = |line: &&str| line.trim().chars().take(300).collect::<String>();
    last.iter().map(cut).collect::<Vec<_>>().join(" | ")
}
