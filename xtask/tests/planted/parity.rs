//! `cargo xtask parity` against planted sources.

use crate::workspace::{Planted, stderr};

/// What both sides have.
const TYPES: &str = "pub struct Client; pub struct Model; pub struct Chain;";

/// The differences that are meant.
const ITERATOR: &str = "impl Iterator for Body { type Item = Result<Bytes, Error>; }";
const WEBSOCKETS: &str = "
    pub use upgrade::{Upgrade, Upgraded};
    pub use baseten_transport::blocking::Upgrade;
    impl Model { pub fn websocket(&self) -> Result<Upgrade, Error> {} }
    impl Chain { pub fn websocket(&self) -> Result<Upgrade, Error> {} }
";

#[test]
fn a_method_of_one_facade_alone_fails() {
    for (method, passes) in [("pub fn go(&self) {}", true), ("pub fn goes(&self) {}", false)] {
        let planted = Planted::new(if passes { "parity-same" } else { "parity-differs" });
        planted.package("baseten", "");
        planted.package("baseten-blocking", "");
        planted.package("baseten-transport", "");
        let client = format!("{TYPES} impl Client {{ pub async fn go(&self) {{}} }}");
        planted.write("crates/baseten/src/client.rs", &format!("{client}{WEBSOCKETS}"));
        let client = format!("{TYPES} impl Client {{ {method} }}");
        planted.write("crates/baseten-blocking/src/client.rs", &client);
        planted.write("crates/baseten-transport/src/nonblocking.rs", "pub struct Body;");
        let body = format!("pub struct Body; {ITERATOR}");
        planted.write("crates/baseten-transport/src/blocking.rs", &body);
        planted.write("crates/baseten-transport/src/nonblocking/local.rs", "pub struct Upload;");
        planted.write("crates/baseten-transport/src/blocking/local.rs", "pub struct Upload;");

        let output = planted.xtask("parity");

        let said = stderr(&output);
        assert_eq!(output.status.success(), passes, "{said}");
        if !passes {
            assert!(
                said.contains("baseten/src/client.rs only: impl Client: fn go(&self)"),
                "{said}"
            );
            let other = "baseten-blocking/src/client.rs only: impl Client: fn goes(&self)";
            assert!(said.contains(other), "{said}");
        }
    }
}
