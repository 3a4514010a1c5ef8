//! Every example runs on the emulator and prints what it promises.
//!
//! It starts the programs that `cargo test` has built beside it (`--test run` alone builds none).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::path::PathBuf;
use std::process::{Command, Output};

use baseten_emulator::Emulator;

/// Runs an example without what the environment says about Baseten.
fn run(name: &str, envs: &[(&str, &str)]) -> Output {
    run_with(name, &[], envs)
}

fn run_with(name: &str, args: &[&str], envs: &[(&str, &str)]) -> Output {
    let here = std::env::current_exe().unwrap();
    let built: PathBuf = here.parent().unwrap().parent().unwrap().join("examples").join(name);
    let mut program = Command::new(built.with_extension(std::env::consts::EXE_EXTENSION));
    for name in ["BASETEN_API_KEY", "BASETEN_MODEL_ID", "BASETEN_BASE_URL"] {
        program.env_remove(name);
    }
    program.args(args).envs(envs.iter().copied()).output().unwrap()
}

#[test]
fn every_example_shows_what_it_promises() {
    //   example           what its output must hold
    for (name, expect) in [
        ("quickstart", &["What is a transport?", "request id  ", "all after"][..]),
        ("blocking", &["What is a transport?", "request id  ", "all after"]),
        ("streaming", &["\"A \"", "\"transport \"", "\"bytes.\"", "the end of Some("]),
        ("chat", &["Blue light scatters most.", "Some(Stop), Some(Done)", "tokens       4"]),
        ("tools", &["weather {\"city\":\"Oslo\"}", "It is 12 degrees in Oslo.  (Some(Answered))"]),
        ("custom_route", &["q=red%20shoes&limit=3", "\"size\":42", "saw x-trace-id: a1b2"]),
        ("websocket", &["echo:hello", "{\"n\":1}", "text        goodbye", "1000 (normal)"]),
        (
            "grpc",
            &[
                "connect to  https://model-abcd1234.grpc.api.baseten.co:443",
                "connect to  https://model-abcd1234-eu-west.grpc.api.baseten.co:443",
                "baseten-authorization: Sensitive",
                "x-baseten-environment: \"staging\"",
                "gRPC was asked of a development deployment",
            ],
        ),
        ("transport_only", &["200 OK", "What is a transport?", "request id  "]),
        ("core_only", &["#1: Status(503), Refused", "attempts    2", "What is a transport?"]),
    ] {
        let Output { status, stdout, stderr } = run(name, &[]);
        let (stdout, stderr) =
            (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success(), "{name}: {status}\n{stdout}\n{stderr}");
        for part in expect {
            assert!(stdout.contains(part), "{name} does not show {part:?}:\n{stdout}");
        }
    }
}

/// Some seconds of what `cargo run --release --example soak` does for minutes.
#[test]
fn a_short_soak_breaks_no_promise() {
    let Output { status, stdout, stderr } = run_with("soak", &["--seconds", "3"], &[]);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("duplicates 0, wrong 0, hung 0"), "{stdout}");
}

#[test]
fn an_example_that_fails_says_so_with_its_exit_code() {
    let emulator = Emulator::start().unwrap();
    let refused = [
        ("BASETEN_API_KEY", "another-key"),
        ("BASETEN_MODEL_ID", "abc"),
        ("BASETEN_BASE_URL", &emulator.base_url("abc")),
    ];
    let astray = [("BASETEN_BASE_URL", "http://127.0.0.1:1")];
    for name in [
        "quickstart",
        "blocking",
        "streaming",
        "chat",
        "tools",
        "custom_route",
        "websocket",
        "transport_only",
    ] {
        for (envs, expect) in [
            (&refused[..], "please check the api-key you provided"),
            (&astray, "set BASETEN_API_KEY and BASETEN_MODEL_ID"),
        ] {
            let Output { status, stderr, .. } = run(name, envs);
            let stderr = String::from_utf8(stderr).unwrap();
            assert_eq!(status.code(), Some(1), "{name}: {stderr}");
            assert!(stderr.contains(expect), "{name} does not say {expect:?}: {stderr}");
        }
    }
}
