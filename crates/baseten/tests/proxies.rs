//! The proxies that both facades take from the environment. A process cannot change its own without
//! unsafe code: each case runs this program again, with the variables of the case.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::process::Command;

/// Runs the test `printed` of this program with these variables alone, and gives what it printed.
fn told(variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "printed", "--nocapture", "--test-threads=1"]).env_clear();
    child.env("PRINT", "1").env("BASETEN_API_KEY", "k3y.s3cret");
    let output = child.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Not a test by itself: what [`told`] runs.
#[test]
fn printed() {
    if std::env::var_os("PRINT").is_none() {
        return;
    }
    macro_rules! print {
        ($facade:ident) => {
            match $facade::ClientBuilder::from_env() {
                Ok(builder) => println!("{builder:?}"),
                Err(error) => println!("{error} {error:?}"),
            }
        };
    }
    print!(baseten);
    print!(baseten_blocking);
}

#[test]
fn proxies_follow_the_rules_of_curl() {
    let none = r#"Proxies { http: None, https: None, all: None, exceptions: false }"#;
    //   variables                                        what the builder has, or the error says
    for (variables, expect) in [
        (&[][..], none),
        (&[("HTTPS_PROXY", "http://u:s3cret@p:1")], r#"https: Some("http://p:1"), all: None"#),
        (&[("https_proxy", "http://p:1"), ("HTTPS_PROXY", "http://q:1")], r#"Some("http://p:1")"#),
        (&[("https_proxy", ""), ("HTTPS_PROXY", "http://q:1")], r#"https: Some("http://q:1")"#),
        (&[("http_proxy", "p:1")], r#"{ http: Some("http://p:1"), https: None"#),
        (&[("HTTP_PROXY", "p:1")], r#"{ http: Some("http://p:1"), https: None"#),
        // In a CGI program that variable is a header of whoever asks.
        (&[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], none),
        (&[("http_proxy", "p:1"), ("REQUEST_METHOD", "GET")], r#"{ http: Some("http://p:1")"#),
        (&[("ALL_PROXY", "socks5://u:s3cret@p")], r#"all: Some("socks5://p:1080")"#),
        (&[("all_proxy", "socks5h://p")], r#"all: Some("socks5://p:1080")"#),
        (&[("no_proxy", "10.0.0.0/8")], "exceptions: true"),
        (&[("NO_PROXY", "10.0.0.0/8")], "exceptions: true"),
        (&[("https_proxy", "https://u:s3cret@p")], "https_proxy: proxy: TLS to the proxy"),
        (&[("ALL_PROXY", "socks4://u:s3cret@p")], "ALL_PROXY: proxy: SOCKS4"),
        // A builder from an environment with a fault is none, whatever the fault is of.
        (&[("BASETEN_BASE_URL", "http://u:s3cret@p")], "BASETEN_BASE_URL: base URL at host"),
        (&[("HTTP_PROXY", "s3cret//")], "HTTP_PROXY: proxy: it is not the URL of a proxy"),
    ] {
        let told = told(variables);
        let lines = told.lines().filter(|line| line.contains(expect)).count();
        assert_eq!(lines, 2, "one of each facade: {variables:?}: {told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}
