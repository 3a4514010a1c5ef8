//! `cargo xtask parity` against planted sources.

use crate::workspace::{Planted, stderr};

/// The one difference that is meant.
const ITERATOR: &str = "impl Iterator for Body { type Item = Result<Bytes, Error>; }";

#[test]
fn a_method_of_one_facade_alone_fails() {
    for (method, passes) in [("pub fn go(&self) {}", true), ("pub fn goes(&self) {}", false)] {
        let planted = Planted::new(if passes { "parity-same" } else { "parity-differs" });
        planted.package("baseten", "");
        planted.package("baseten-blocking", "");
        planted.package("baseten-transport", "");
        let client = "pub struct Client; impl Client { pub async fn go(&self) {} }";
        planted.write("crates/baseten/src/client.rs", client);
        let client = format!("pub struct Client; impl Client {{ {method} }}");
        planted.write("crates/baseten-blocking/src/client.rs", &client);
        planted.write("crates/baseten-transport/src/nonblocking.rs", "pub struct Body;");
        let body = format!("pub struct Body; {ITERATOR}");
        planted.write("crates/baseten-transport/src/blocking.rs", &body);

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
