//! Costs side by side, ours first, and the goals that ours has to meet.

use std::fmt;

use super::cost::Cost;
use crate::ci::Verdict;
use crate::output::say;

/// The most that one of it may cost.
pub(super) enum Goal {
    /// As a part of another one's instructions.
    Part(f64, &'static str),
    Instructions(f64),
    Allocations(f64),
}

use Goal::{Allocations, Instructions, Part};

/// Prints the table and what comes of the goals. Returns those that were missed.
pub(super) fn compare(title: &str, rows: &[(&str, Cost)], goals: &[Goal]) -> Vec<String> {
    say(table(title, rows));
    let mut missed = Vec::new();
    for goal in goals {
        let (figure, met) = goal.judge(rows);
        let mark = if met { "met" } else { "MISSED" };
        say(format!("  {goal}: {figure:.2}, {mark}"));
        if !met {
            missed.push(format!("{title}: {goal} ({figure:.2})"));
        }
    }
    missed
}

/// What comes of all the tables.
pub(super) fn verdict(missed: &[String]) -> Result<Verdict, String> {
    match missed {
        [] => Ok(Verdict::Passed),
        missed => Err(format!("bench: missed: {}", missed.join("; "))),
    }
}

fn table(title: &str, rows: &[(&str, Cost)]) -> String {
    let ours = rows[0].1.instructions;
    let mut lines = vec![format!("\n{title:<38} instructions  ours /  allocations")];
    for (reader, cost) in rows {
        lines.push(format!(
            "  {reader:<36} {:>12.1} {:>7.2} {:>12.2}",
            cost.instructions,
            ours / cost.instructions,
            cost.allocations
        ));
    }
    lines.join("\n")
}

impl Goal {
    /// The figure of the first row, which is ours, and whether it will do.
    fn judge(&self, rows: &[(&str, Cost)]) -> (f64, bool) {
        let ours = &rows[0].1;
        let (figure, most) = match self {
            Part(most, other) => {
                let theirs = rows.iter().find(|(reader, _)| reader == other);
                let theirs = theirs.map_or(f64::NAN, |(_, cost)| cost.instructions);
                (ours.instructions / theirs, *most)
            }
            Instructions(most) => (ours.instructions, *most),
            Allocations(most) => (ours.allocations, *most),
        };
        (figure, figure <= most)
    }
}

/// `≤ 0.50 × serde_json`
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part(most, other) => write!(f, "≤ {most:.2} × {other}"),
            Instructions(most) => write!(f, "≤ {most} instructions"),
            Allocations(most) => write!(f, "≤ {most} allocations"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_missed_by_the_smallest_step_over_it_and_by_a_reader_that_is_not_there() {
        let cost = |instructions, allocations| Cost {
            instructions,
            allocations,
            bytes: 0.0,
            syscalls: None,
        };
        let rows = |ours| [("baseten", cost(ours, 1.3)), ("serde_json", cost(1000.0, 9.0))];
        assert_eq!(Part(0.5, "serde_json").judge(&rows(500.0)), (0.5, true));
        assert_eq!(Part(0.5, "serde_json").judge(&rows(501.0)), (0.501, false));
        assert!(!Part(0.5, "another").judge(&rows(1.0)).1);
        assert_eq!(Allocations(1.3).judge(&rows(1.0)), (1.3, true));
        assert_eq!(Allocations(1.2).judge(&rows(1.0)), (1.3, false));
        assert_eq!(Instructions(45.0).judge(&rows(46.0)), (46.0, false));
    }
}
