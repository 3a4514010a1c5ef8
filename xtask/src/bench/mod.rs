//! `cargo xtask bench NAME`: what a call costs the caller, beside other clients in the same run.
//!
//! Instructions, system calls and allocations, which do not depend on how busy the machine is; never
//! seconds. The programs measured are the workspace in `benches`, each built alone. This file makes
//! the table; it must not know how a figure is obtained.

mod client;
mod cost;
mod decode;
mod goal;
mod memory;
mod ratio;
mod server;
mod stream;

use self::client::{Benches, Client};
use self::cost::{Cost, Meter};
pub(crate) use self::decode::{chat, embeddings};
use self::goal::{Mark, PREDICT};
pub(crate) use self::memory::memory;
use self::server::Server;
pub(crate) use self::stream::stream;
use crate::ci::Verdict;
use crate::output::say;
use crate::workspace::Workspace;

/// A client and what one of its calls costs.
struct Row {
    client: Client,
    cost: Cost,
    /// Crates that it links, our own not counted.
    crates: usize,
}

/// One small predict, typed in and out, on a connection that is kept alive.
///
/// # Errors
///
/// A client that cannot be built or run, or the goals missed, after the tables were printed.
pub(crate) fn predict() -> Result<Verdict, String> {
    let meter = match Meter::find() {
        Ok(meter) => meter,
        Err(missing) => return Ok(Verdict::Skipped(missing)),
    };
    let benches = Benches::of(&Workspace::load()?);
    let server = benches.build("bench-server")?;
    let programs = Client::ALL
        .iter()
        .map(|client| Ok((*client, benches.build(client.package())?)))
        .collect::<Result<Vec<_>, String>>()?;
    let server = Server::start(&server, &benches.target.join("ca.pem"))?;

    say(format!("one small predict, each after the last: {meter}"));
    let mut rows = Vec::new();
    for (title, base_url) in [("plain", &server.plain), ("over TLS", &server.tls)] {
        let measured = programs
            .iter()
            .map(|(client, program)| {
                let cost = meter.measure(program, base_url, &server.ca)?;
                let crates = benches.crates(client.package())?;
                Ok(Row { client: *client, cost, crates })
            })
            .collect::<Result<Vec<_>, String>>()?;
        say(table(title, &measured));
        rows.push(measured);
    }
    judge(&rows[0])
}

/// The goals, which are for the plain connection.
fn judge(rows: &[Row]) -> Result<Verdict, String> {
    say("goals, plain");
    let mut missed = Vec::new();
    for goal in PREDICT {
        let mark =
            goal.judge(|client| rows.iter().find(|row| row.client == client).map(|r| &r.cost));
        say(format!("  {goal}  {mark}"));
        if matches!(mark, Mark::Missed(_)) {
            missed.push(goal.to_string());
        }
    }
    if missed.is_empty() {
        Ok(Verdict::Passed)
    } else {
        Err(format!("bench: missed: {}", missed.join("; ")))
    }
}

fn table(title: &str, rows: &[Row]) -> String {
    let floor =
        rows.iter().find(|row| row.client == Client::Hyper).map(|row| row.cost.instructions);
    let mut lines = vec![format!(
        "\n{title:<17} instructions  / hyper  syscalls  allocations (bytes)  crates  which syscalls"
    )];
    for Row { client, cost, crates } in rows {
        let ratio = floor.map_or(f64::NAN, |floor| cost.instructions / floor);
        let allocated = format!("{:.1} ({:.0})", cost.allocations, cost.bytes);
        let syscalls =
            cost.syscalls.as_ref().map_or_else(|| "–".to_owned(), |s| format!("{:.2}", s.total()));
        let which = cost.syscalls.as_ref().map(ToString::to_string).unwrap_or_default();
        lines.push(format!(
            "{:<17} {:>12.0} {ratio:>8.2} {syscalls:>9} {allocated:>20} {crates:>7}  {which}",
            client.title(),
            cost.instructions
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}
