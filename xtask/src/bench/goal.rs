//! What we want a call to cost, and whether it does.

use std::fmt;

use super::client::Client::{self, Async, Blocking, Hyper, Reqwest, Ureq};
use super::cost::Cost;

/// The most that a client's call may cost.
#[derive(Debug)]
pub(super) struct Goal {
    client: Client,
    measure: Measure,
    most: f64,
    /// What would be better still.
    stretch: Option<f64>,
}

#[derive(Debug)]
enum Measure {
    /// As a part of another client's.
    Instructions(Client),
    Syscalls,
}

/// How a cost stands to its goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    /// Better than the goal asks, by as much as was hoped.
    Stretched(f64),
    Met(f64),
    Missed(f64),
    Unmeasured,
}

#[rustfmt::skip]
pub(super) const PREDICT: &[Goal] = &[
    goal(Async,    Measure::Instructions(Hyper),   1.00, Some(0.90)),
    goal(Async,    Measure::Instructions(Reqwest), 0.38, None),
    goal(Async,    Measure::Syscalls,              4.0,  None),
    goal(Blocking, Measure::Instructions(Ureq),    0.60, Some(0.30)),
    goal(Blocking, Measure::Syscalls,              3.0,  Some(2.0)),
];

/// A syscall in some hundred calls (a timer moved, a reactor turned once more) is not one a call.
const SYSCALL_SLACK: f64 = 0.05;

impl Goal {
    /// `cost_of` has the cost of each client that was measured.
    pub(super) fn judge<'a>(&self, cost_of: impl Fn(Client) -> Option<&'a Cost>) -> Mark {
        let Some(ours) = cost_of(self.client) else { return Mark::Unmeasured };
        let (figure, slack) = match self.measure {
            Measure::Instructions(other) => match cost_of(other) {
                Some(theirs) => (ours.instructions / theirs.instructions, 0.0),
                None => return Mark::Unmeasured,
            },
            Measure::Syscalls => match &ours.syscalls {
                Some(syscalls) => (syscalls.total(), SYSCALL_SLACK),
                None => return Mark::Unmeasured,
            },
        };
        if figure > self.most + slack {
            Mark::Missed(figure)
        } else if self.stretch.is_some_and(|stretch| figure <= stretch + slack) {
            Mark::Stretched(figure)
        } else {
            Mark::Met(figure)
        }
    }
}

/// `baseten: instructions ≤ 1.00 × hyper (stretch 0.90)`
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, measure, most, stretch } = self;
        write!(f, "{}: ", client.title())?;
        match measure {
            Measure::Instructions(other) => {
                write!(f, "instructions ≤ {most:.2} × {}", other.title())?;
            }
            Measure::Syscalls => write!(f, "syscalls ≤ {most}")?,
        }
        stretch.map_or(Ok(()), |stretch| write!(f, " (stretch {stretch})"))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stretched(figure) => write!(f, "{figure:.2}, met, and its stretch"),
            Self::Met(figure) => write!(f, "{figure:.2}, met"),
            Self::Missed(figure) => write!(f, "{figure:.2}, MISSED"),
            Self::Unmeasured => f.write_str("not measured"),
        }
    }
}

const fn goal(client: Client, measure: Measure, most: f64, stretch: Option<f64>) -> Goal {
    Goal { client, measure, most, stretch }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_missed_by_the_smallest_step_over_it() {
        let cost =
            |instructions| Cost { instructions, allocations: 0.0, bytes: 0.0, syscalls: None };
        let hyper = cost(1000.0);
        let goal = goal(Async, Measure::Instructions(Hyper), 1.0, Some(0.9));
        for (ours, mark) in [
            (1001.0, Mark::Missed(1.001)),
            (1000.0, Mark::Met(1.0)),
            (901.0, Mark::Met(0.901)),
            (900.0, Mark::Stretched(0.9)),
        ] {
            let ours = cost(ours);
            let cost_of = |client| Some(if client == Async { &ours } else { &hyper });
            assert_eq!(goal.judge(cost_of), mark);
        }
        assert_eq!(goal.judge(|_| None), Mark::Unmeasured);
    }

    #[test]
    fn uncounted_syscalls_meet_no_goal() {
        let cost = Cost { instructions: 1.0, allocations: 0.0, bytes: 0.0, syscalls: None };
        assert_eq!(
            goal(Async, Measure::Syscalls, 4.0, None).judge(|_| Some(&cost)),
            Mark::Unmeasured
        );
    }
}
