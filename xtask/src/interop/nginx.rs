//! nginx as Baseten puts it before a custom server: with the `proxy.conf` that truss writes.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::server::{Launch, Server};
use super::venv::Venv;

/// The program, if this machine has it.
pub(crate) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian's place for it is not on everybody's path.
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

/// Starts it in `folder`, before `server`.
///
/// # Errors
///
/// That `proxy.conf` is not as it was, or that nginx does not start with it.
pub(crate) fn start(
    program: &Path,
    tools: (&Venv, &Path),
    folder: &Path,
    proxy_conf: &str,
    server: &Server,
) -> Result<Server, String> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut launch = Launch::new(program, tools, folder)?;
    let conf = conf(proxy_conf, launch.port, server.address())?;
    let file = folder.join("nginx.conf");
    fs::write(&file, conf).map_err(|e| format!("{}: {e}", file.display()))?;
    launch.command().arg("-p").arg(folder).arg("-c").arg(&file).args(["-e", "stderr"]);
    launch.ready = "/health";
    launch.start()
}

/// `proxy.conf` with other ports, in the least that nginx wants around it.
fn conf(proxy: &str, port: u16, server: SocketAddr) -> Result<String, String> {
    let mut proxy = proxy.to_owned();
    for (from, to) in [
        ("listen 8080;", format!("listen 127.0.0.1:{port};")),
        ("http://127.0.0.1:8000;", format!("http://{server};")),
    ] {
        if !proxy.contains(from) {
            return Err(format!("proxy.conf has no `{from}`"));
        }
        proxy = proxy.replace(from, &to);
    }
    let around = "daemon off;\npid nginx.pid;\nworker_processes 1;\nevents {}\n";
    Ok(format!("{around}http {{\n{proxy}\n}}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ports_are_changed_and_both_must_be_there() {
        let proxy = "server { listen 8080; location / { proxy_pass http://127.0.0.1:8000; } }";
        let server = SocketAddr::from(([127, 0, 0, 1], 4321));
        let conf = |proxy: &str| conf(proxy, 1234, server);
        let changed =
            "server { listen 127.0.0.1:1234; location / { proxy_pass http://127.0.0.1:4321; } }";
        assert!(conf(proxy).is_ok_and(|conf| conf.contains(changed)));
        for missing in ["8080", "8000"] {
            assert!(conf(&proxy.replace(missing, "9")).is_err_and(|why| why.contains(missing)));
        }
    }
}
