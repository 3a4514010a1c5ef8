//! The checks against workspaces that break a rule on purpose: each is shown to fail.

mod layers;
mod parity;
mod sizes;
mod workspace;
