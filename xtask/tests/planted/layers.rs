//! `cargo xtask layers` against planted workspaces: cargo itself resolves the forbidden edges.

use crate::workspace::{Planted, stderr};

#[test]
fn a_clean_workspace_passes() {
    let planted = Planted::new("layers-clean");
    planted.package("baseten-core", "");
    planted
        .package("baseten-openai", "[dependencies]\nbaseten-core = { path = '../baseten-core' }");

    let output = planted.xtask("layers");

    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn an_arrow_upwards_fails() {
    let planted = Planted::new("layers-upwards");
    planted.package("baseten-core", "");
    planted.package("baseten-transport", "");
    planted.package(
        "baseten-openai",
        "[dependencies]\nbaseten-transport = { path = '../baseten-transport' }",
    );

    let output = planted.xtask("layers");

    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("baseten-openai -> baseten-transport: baseten-openai may import"),
        "{said}"
    );
}

#[test]
fn io_hidden_behind_another_crate_and_a_feature_fails() {
    let planted = Planted::new("layers-hidden");
    planted.outside("mio", "");
    planted.outside("innocent", "[dependencies]\nmio = { path = '../mio' }");
    planted.package(
        "baseten-core",
        "[features]\nextra = ['dep:innocent']\n\
         [dependencies]\ninnocent = { path = '../../others/innocent', optional = true }",
    );

    let output = planted.xtask("layers");

    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(said.contains("baseten-core (all) links mio"), "{said}");
}

#[test]
fn a_runtime_feature_under_the_blocking_transport_fails() {
    let planted = Planted::new("layers-runtime");
    planted.outside("tokio", "[features]\nrt = []\nnet = []");
    planted.package(
        "baseten-transport",
        "[dependencies]\ntokio = { path = '../../others/tokio', features = ['rt', 'net'] }",
    );

    let output = planted.xtask("layers");

    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(said.contains("baseten-transport (bare) enables tokio/net"), "{said}");
    assert!(!said.contains("tokio/rt:"), "plain `rt` is allowed: {said}");
}

#[test]
fn traces_that_nobody_switched_on_fail() {
    let planted = Planted::new("layers-traces");
    planted.package("baseten-core", "[features]\ntracing = []");
    planted.package(
        "baseten-blocking",
        "[features]\ndefault = ['proxy']\nproxy = ['baseten-core/tracing']\n\
         [dependencies]\nbaseten-core = { path = '../baseten-core' }",
    );

    let output = planted.xtask("layers");

    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(said.contains("baseten-blocking (default) enables baseten-core/tracing"), "{said}");
}
