//! What clients read from the environment, in processes of their own: a test cannot change its own
//! environment safely.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop there; a process tells its parent by printing"
)]

use std::ffi::OsStr;
use std::process::Command;

use baseten::{Error, Response};
use baseten_emulator::{DUMMY_KEY, Emulator};
use serde_json::Value;

/// Tells a process that it is to call, and print what came of it.
const CALLER: &str = "BASETEN_TEST_CALLER";

/// All that may be looked at.
const READ: [&str; 13] = [
    "BASETEN_API_KEY",
    "BASETEN_BASE_URL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "REQUEST_METHOD",
];

/// What this test says as a caller, in a process with no more of an environment than this.
fn told(test: &str, environment: &[(&str, &OsStr)]) -> Vec<String> {
    let mut caller = Command::new(std::env::current_exe().unwrap());
    for name in READ {
        caller.env_remove(name);
    }
    caller.args(["--exact", test, "--nocapture"]).env(CALLER, "1");
    let printed = caller.envs(environment.iter().copied()).output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    printed.lines().filter(|line| line.contains("says: ")).map(str::to_owned).collect()
}

#[test]
fn the_environment_says_key_place_and_roots() {
    if std::env::var_os(CALLER).is_some() {
        return call();
    }
    let (plain, secure) =
        (Emulator::start().unwrap(), Emulator::builder().tls(true).start().unwrap());
    let roots = std::env::temp_dir().join(format!("baseten-ca-{}.pem", std::process::id()));
    std::fs::write(&roots, secure.ca_pem().unwrap()).unwrap();
    let (roots_file, here, there) =
        (roots.as_os_str(), plain.base_url("abc"), secure.base_url("abc"));
    let key = ("BASETEN_API_KEY", OsStr::new(DUMMY_KEY));
    let at = |url: &'static str| ("BASETEN_BASE_URL", OsStr::new(url));
    let none = |name: &'static str| (name, OsStr::new("/no/such/file"));
    //   environment                                                       what both clients print
    for (environment, expect) in [
        (vec![], "BASETEN_API_KEY is not set"),
        (vec![("BASETEN_API_KEY", OsStr::new(""))], "BASETEN_API_KEY is not set"),
        (vec![("BASETEN_API_KEY", OsStr::new(" \n"))], "BASETEN_API_KEY: API key is empty"),
        (vec![key, at("no url")], "BASETEN_BASE_URL: base URL at host \"no url\" has a space"),
        (vec![key, at("http://x/?q=1")], "BASETEN_BASE_URL: base URL at host \"x\" has a query"),
        (vec![key, none("SSL_CERT_FILE")], "SSL_CERT_FILE: TLS roots: /no/such/file: No such file"),
        (vec![key, none("SSL_CERT_DIR")], "SSL_CERT_DIR: TLS roots: /no/such/file: No such file"),
        (
            vec![
                key,
                ("BASETEN_BASE_URL", here.as_ref()),
                ("SSL_CERT_FILE", OsStr::new("")),
                ("SSL_CERT_DIR", OsStr::new("")),
                ("http_proxy", OsStr::new("")),
            ],
            "answered 200",
        ),
        (vec![key, ("BASETEN_BASE_URL", there.as_ref())], "certificate"),
        (
            vec![key, ("BASETEN_BASE_URL", there.as_ref()), ("SSL_CERT_FILE", roots_file)],
            "answered 200",
        ),
    ] {
        let lines = told("the_environment_says_key_place_and_roots", &environment);
        assert_eq!(lines.len(), 2, "{environment:?}: {lines:#?}");
        assert!(lines.iter().all(|line| line.contains(expect)), "{environment:?}: {lines:#?}");
    }
    std::fs::remove_file(&roots).unwrap();
}

/// Calls through both facades as the environment says.
fn call() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let once = baseten::CallOptions { retry: baseten::RetryPolicy::never(), ..Default::default() };
    let nonblocking = || {
        let model = baseten::Client::from_env()?.model("abc")?.options(once.clone());
        runtime.block_on(model.predict::<_, Value>("hi"))
    };
    let blocking = || {
        let model = baseten_blocking::Client::from_env()?.model("abc")?.options(once.clone());
        model.predict::<_, Value>("hi")
    };
    say("async", nonblocking());
    say("blocking", blocking());
}

fn say(name: &str, came: Result<Response<Value>, Error>) {
    match came {
        Ok(answer) => println!("\n{name} says: answered {}", answer.meta.status().as_u16()),
        Err(error) => println!("\n{name} says: {error:?}"),
    }
}
