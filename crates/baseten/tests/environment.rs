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
const READ: [&str; 18] = [
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
    "HOME",
    "USER_TRUSSRC_PATH",
    "BASETEN_CONFIG_DIR",
    "XDG_CONFIG_HOME",
    "BASETEN_PROFILE",
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

#[test]
fn the_files_of_baseten_s_tools_are_found_where_they_keep_them() {
    if std::env::var_os(CALLER).is_some() {
        return find();
    }
    let home = std::env::temp_dir().join(format!("baseten-home-{}", std::process::id()));
    std::fs::create_dir_all(home.join(".config/baseten")).unwrap();
    std::fs::write(home.join(".trussrc"), "[baseten]\napi_key = k.s3cret\n").unwrap();
    let profiles = r#"{"current":"a","profiles":{"a":{"api_key":"k.s3cret"},
        "b":{"oauth_credential":{"access_token":"t.s3cret"}}}}"#;
    std::fs::write(home.join(".config/baseten/auth.json"), profiles).unwrap();
    let shown = home.to_str().unwrap();
    let at_home = ("HOME", home.as_os_str());
    let empty = home.join("empty");
    let cannot = |path: &str| format!("{path} cannot be read");
    let (key, token) =
        ("credential: Some(Credential(API key))", "credential: Some(Credential(token))");
    //   environment beside HOME                   of .trussrc             of auth.json
    for (environment, trussrc, cli) in [
        (vec![at_home], key.to_owned(), key.to_owned()),
        (vec![at_home, ("BASETEN_PROFILE", OsStr::new("b"))], key.to_owned(), token.to_owned()),
        (
            vec![at_home, ("BASETEN_PROFILE", OsStr::new("c"))],
            key.to_owned(),
            format!(
                "{shown}/.config/baseten/auth.json: there is no profile \"c\", only: \"a\", \"b\""
            ),
        ),
        (
            vec![at_home, ("USER_TRUSSRC_PATH", OsStr::new("~/mine"))],
            cannot(&format!("{shown}/mine")),
            key.to_owned(),
        ),
        (
            vec![at_home, ("BASETEN_CONFIG_DIR", empty.as_os_str())],
            key.to_owned(),
            cannot(&format!("{shown}/empty/auth.json")),
        ),
        (
            vec![],
            "HOME is not set: name the path of the file".to_owned(),
            "HOME is not set: name the path of the file".to_owned(),
        ),
    ] {
        let lines =
            told("the_files_of_baseten_s_tools_are_found_where_they_keep_them", &environment);
        assert_eq!(lines.len(), 4, "{environment:?}: {lines:#?}");
        for (line, expect) in lines.iter().zip([&trussrc, &cli, &trussrc, &cli]) {
            assert!(line.contains(expect.as_str()), "{environment:?}: {expect}: {line}");
            assert!(!line.contains("s3cret"), "{line}");
        }
    }
    std::fs::remove_dir_all(&home).unwrap();
}

/// Looks for the tools' files through both facades.
fn find() {
    macro_rules! find {
        ($facade:ident) => {
            for built in [
                $facade::ClientBuilder::from_default_trussrc(None),
                $facade::ClientBuilder::from_default_cli_auth(None),
            ] {
                match built {
                    Ok(builder) => println!("\n{} says: {builder:?}", stringify!($facade)),
                    Err(error) => println!("\n{} says: {error}", stringify!($facade)),
                }
            }
        };
    }
    find!(baseten);
    find!(baseten_blocking);
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
