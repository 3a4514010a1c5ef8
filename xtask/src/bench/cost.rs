//! What one call costs: the tools count a short run and a long one, and their difference, divided by
//! the calls that the long one made more, has nothing of start, connect and stop in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fmt};

/// Calls of the short run and of the long one.
const RUNS: [u32; 2] = [200, 1200];

/// The cost of one call.
#[derive(Debug, PartialEq)]
pub(super) struct Cost {
    /// Of the client's own code: the kernel's are not counted.
    pub(super) instructions: f64,
    /// Blocks from the allocator; one that grows counts once.
    pub(super) allocations: f64,
    pub(super) bytes: f64,
    /// `None` if nothing could count them.
    pub(super) syscalls: Option<Syscalls>,
}

/// System calls by name.
#[derive(Debug, PartialEq)]
pub(super) struct Syscalls(BTreeMap<String, f64>);

impl Syscalls {
    pub(super) fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

/// The names, most frequent first; what happens less than once in a hundred calls is left out.
impl fmt::Display for Syscalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut often: Vec<_> = self.0.iter().filter(|(_, calls)| **calls >= 0.01).collect();
        often.sort_by(|a, b| b.1.total_cmp(a.1));
        for (n, (name, calls)) in often.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{calls:.2} {name}")?;
        }
        Ok(())
    }
}

/// The tools that count.
pub(super) struct Meter {
    /// Whether strace is there and may trace.
    strace: bool,
}

/// How it counts.
impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [few, many] = RUNS;
        write!(f, "slope from {few} to {many} calls, by callgrind, DHAT")?;
        f.write_str(if self.strace { " and strace" } else { "; syscalls SKIPPED, no strace" })
    }
}

impl Cost {
    /// What is left of it without `other`, divided by how many there were `in_each`.
    pub(super) fn less(&self, other: &Self, in_each: f64) -> Self {
        Self {
            instructions: (self.instructions - other.instructions) / in_each,
            allocations: (self.allocations - other.allocations) / in_each,
            bytes: (self.bytes - other.bytes) / in_each,
            syscalls: None,
        }
    }
}

impl Meter {
    /// # Errors
    ///
    /// What is missing without which there is nothing to measure.
    pub(super) fn find() -> Result<Self, String> {
        let works = |program: &str, argument: &str| {
            let mut command = Command::new(program);
            let command = command.args([argument, "true"]).stdout(Stdio::null());
            command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if !works("valgrind", "--tool=none") {
            return Err("valgrind is not installed, or does not run".to_owned());
        }
        Ok(Self { strace: works("strace", "-c") })
    }

    /// One for programs that make no system calls worth counting.
    ///
    /// # Errors
    ///
    /// As [`Meter::find`].
    pub(super) fn without_syscalls() -> Result<Self, String> {
        Self::find().map(|_| Self { strace: false })
    }

    /// What a call of `program` costs.
    pub(super) fn measure(
        &self,
        program: &Path,
        base_url: &str,
        ca: &Path,
    ) -> Result<Cost, String> {
        self.slope(program, RUNS, |calls| {
            vec![base_url.into(), calls.to_string().into(), ca.into()]
        })
    }

    /// What the long one of two runs costs more, for each that it did more; `arguments` are those of a
    /// run that does so many.
    pub(super) fn slope(
        &self,
        program: &Path,
        runs: [u32; 2],
        arguments: impl Fn(u32) -> Vec<OsString>,
    ) -> Result<Cost, String> {
        let [few, many] = both(program, runs, arguments, |job| self.run(job))?;
        Ok(many.minus(&few, runs[1] - runs[0]))
    }

    /// How many bytes of the heap the long one of two runs had more at its worst, for each that it had
    /// open more.
    pub(super) fn peak(
        &self,
        program: &Path,
        runs: [u32; 2],
        arguments: impl Fn(u32) -> Vec<OsString>,
    ) -> Result<f64, String> {
        let [few, many] = both(program, runs, arguments, |job| {
            let report = report(&DHAT, job)?;
            at_most(&report).ok_or_else(|| unreadable("DHAT", &report))
        })?;
        Ok((many as f64 - few as f64) / f64::from(runs[1] - runs[0]))
    }

    fn run(&self, job: &[&OsStr]) -> Result<Totals, String> {
        let callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let report = report(&callgrind, job)?;
        let instructions = instructions(&report).ok_or_else(|| unreadable("callgrind", &report))?;
        let report = self::report(&DHAT, job)?;
        let (bytes, blocks) = allocated(&report).ok_or_else(|| unreadable("DHAT", &report))?;
        let syscalls = match self.strace {
            true => Some(syscalls(&self::report(&["strace", "-f", "-c"], job)?)),
            false => None,
        };
        Ok(Totals { instructions, blocks, bytes, syscalls })
    }
}

/// Runs a program for a little and for much.
fn both<T>(
    program: &Path,
    [few, many]: [u32; 2],
    arguments: impl Fn(u32) -> Vec<OsString>,
    run: impl Fn(&[&OsStr]) -> Result<T, String>,
) -> Result<[T; 2], String> {
    let one = |count| {
        let arguments = arguments(count);
        let words = arguments.iter().map(OsString::as_os_str);
        run(&[program.as_os_str()].into_iter().chain(words).collect::<Vec<_>>())
    };
    Ok([one(few)?, one(many)?])
}

const DHAT: [&str; 3] = ["valgrind", "--tool=dhat", "--dhat-out-file=/dev/null"];

/// What one run cost.
struct Totals {
    instructions: u64,
    blocks: u64,
    bytes: u64,
    syscalls: Option<BTreeMap<String, u64>>,
}

impl Totals {
    fn minus(&self, less: &Self, calls: u32) -> Cost {
        let per_call = |more: u64, less: u64| (more as f64 - less as f64) / f64::from(calls);
        let by_name = |more: &BTreeMap<String, u64>, less: &BTreeMap<String, u64>| {
            let count = |name| less.get(name).copied().unwrap_or(0);
            Syscalls(more.iter().map(|(n, c)| (n.clone(), per_call(*c, count(n)))).collect())
        };
        Cost {
            instructions: per_call(self.instructions, less.instructions),
            allocations: per_call(self.blocks, less.blocks),
            bytes: per_call(self.bytes, less.bytes),
            syscalls: self
                .syscalls
                .as_ref()
                .zip(less.syscalls.as_ref())
                .map(|(m, l)| by_name(m, l)),
        }
    }
}

/// What a tool says of a run. The environment is kept from the clients: it may name a proxy.
fn report(tool: &[&str], job: &[&OsStr]) -> Result<String, String> {
    let line = || format!("{} {}", tool.join(" "), job.join(OsStr::new(" ")).display());
    let output = Command::new(tool[0])
        .args(&tool[1..])
        .args(job)
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .output()
        .map_err(|e| format!("{}: {e}", line()))?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(report)
    } else {
        Err(format!("{}: {}\n{report}", line(), output.status))
    }
}

fn unreadable(tool: &str, report: &str) -> String {
    format!("cannot find the totals in the report of {tool}:\n{report}")
}

/// `==12== Collected : 5632184`
fn instructions(report: &str) -> Option<u64> {
    number(report.lines().find_map(|line| line.split_once("Collected :"))?.1)
}

/// `==12== Total:     1,234 bytes in 56 blocks`, as bytes and blocks.
fn allocated(report: &str) -> Option<(u64, u64)> {
    let totals = report.lines().find_map(|line| line.split_once("Total:"))?.1;
    let (bytes, blocks) = totals.split_once(" bytes in ")?;
    Some((number(bytes)?, number(blocks.strip_suffix(" blocks")?)?))
}

/// `==12== At t-gmax: 1,234 bytes in 56 blocks`, as bytes: when there were most.
fn at_most(report: &str) -> Option<u64> {
    let most = report.lines().find_map(|line| line.split_once("At t-gmax:"))?.1;
    number(most.split_once(" bytes in ")?.0)
}

fn number(text: &str) -> Option<u64> {
    text.trim().replace(',', "").parse().ok()
}

/// Rows of `% time, seconds, usecs/call, calls, [errors], name` below a line of dashes and above one.
fn syscalls(report: &str) -> BTreeMap<String, u64> {
    report
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter_map(|words| Some((words.last()?.to_string(), words.get(3)?.parse().ok()?)))
        .filter(|(name, _)| name != "total")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRACE: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 66.20    0.000188           3        50           writev
 33.80    0.000096           1        60        10 recvfrom
  0.00    0.000000           0         1           execve
------ ----------- ----------- --------- --------- ----------------
100.00    0.000284           2       111        10 total
";

    #[test]
    fn reports_are_read_as_the_tools_write_them() {
        assert_eq!(
            instructions("==7== Events    : Ir\n==7== Collected : 5632184\n"),
            Some(5_632_184)
        );
        assert_eq!(allocated("==7== Total:     1,234 bytes in 56 blocks\n"), Some((1234, 56)));
        assert_eq!(instructions("error: no such tool"), None);
        assert_eq!(allocated("==7== At t-gmax: 12 bytes in 3 blocks"), None);
        assert_eq!(at_most("==7== At t-gmax: 1,012 bytes in 3 blocks"), Some(1012));
        assert_eq!(at_most("==7== At t-end:  1,012 bytes in 3 blocks"), None);
        let expect = [("execve", 1), ("recvfrom", 60), ("writev", 50)];
        let expect = expect.map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!(syscalls(STRACE), BTreeMap::from(expect));
    }

    #[test]
    fn a_call_costs_what_the_long_run_had_more() {
        let totals = |instructions, names: &[(&str, u64)]| Totals {
            instructions,
            blocks: instructions / 100,
            bytes: instructions / 10,
            syscalls: Some(names.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect()),
        };
        let few = totals(50_000, &[("connect", 1), ("writev", 10)]);
        let many = totals(150_000, &[("connect", 1), ("writev", 110), ("futex", 50)]);
        let cost = many.minus(&few, 100);
        assert_eq!((cost.instructions, cost.allocations, cost.bytes), (1000.0, 10.0, 100.0));
        let syscalls = cost.syscalls.unwrap();
        assert_eq!(syscalls.to_string(), "1.00 writev, 0.50 futex");
        assert_eq!(syscalls.total(), 1.5);
    }
}
