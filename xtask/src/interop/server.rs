//! A server that others wrote, running on loopback for as long as it is held.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::facade::KEY;
use super::venv::{Venv, tail};

/// The slowest takes 17 s on two cores that have nothing else to do.
const START: Duration = Duration::from_secs(120);

/// A server that is to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Where it will listen.
    pub(crate) port: u16,
    /// A path that it answers with 200 as soon as it can be called.
    pub(crate) ready: &'static str,
    /// The file for all that it says.
    pub(crate) log: PathBuf,
    command: Command,
}

/// A running server, ready to be called. Dropping it kills it, as does any other end of this program.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    log: PathBuf,
    leash: Child,
}

impl Launch {
    /// A program that is run in `folder`, by the leash among our `sources` and a Python for it.
    pub(crate) fn new(
        program: &Path,
        (venv, sources): (&Venv, &Path),
        folder: &Path,
    ) -> Result<Self, String> {
        let mut command = Command::new(venv.program("python"));
        command.arg(sources.join("leash.py")).arg(program).current_dir(folder);
        // So that nothing is read from or left in the user's.
        command.env("HOME", folder.join("home")).env_remove("PYTHONPATH");
        let port = free_port().map_err(|e| format!("no free port: {e}"))?;
        Ok(Self { port, ready: "/", log: folder.join("server.log"), command })
    }

    /// What else the program is given.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(mut self) -> Result<Server, String> {
        let output = || {
            let output = File::create(&self.log)?;
            Ok((output.try_clone()?, output))
        };
        let (stdout, stderr) =
            output().map_err(|e: io::Error| format!("{}: {e}", self.log.display()))?;
        self.command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        let leash = self.command.spawn().map_err(|e| format!("cannot start the server: {e}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut server = Server { address, log: self.log, leash };
        server.wait_until(self.ready)?;
        Ok(server)
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with all that it has said.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    fn wait_until(&mut self, ready: &str) -> Result<(), String> {
        let start = Instant::now();
        while !get(self.address, ready).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
            let ended = self.leash.try_wait().is_ok_and(|status| status.is_some());
            if ended || start.elapsed() > START {
                let how = if ended { "ended".into() } else { format!("not ready in {START:?}") };
                let said = fs::read(&self.log).unwrap_or_default();
                let said = tail(&String::from_utf8_lossy(&said), 3);
                return Err(format!("the server {how}: {said} (all in {})", self.log.display()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The leash kills the server's process group when its standard input ends.
        drop(self.leash.stdin.take());
        self.leash.wait().ok();
    }
}

/// The whole answer to a GET with the usual key, asked for without the clients under test.
pub(crate) fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(socket, "GET {path} HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Free now, which is as much as can be known.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
