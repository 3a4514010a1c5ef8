//! Baseten's own Truss server: laid out as in its image, running on loopback.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::venv::{Venv, run, tail};

/// Loading takes 3 to 5 s on two cores that have nothing else to do.
const START: Duration = Duration::from_secs(120);

/// A folder with the server's code and a truss in it, as in the image that Baseten builds.
#[derive(Debug)]
pub(crate) struct App(PathBuf);

/// A running server, ready to be called. Dropping it kills it, as does any other end of this program.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    log: PathBuf,
    leash: Child,
}

impl App {
    /// Has `truss` write the build context of our truss below `folder`, and lays it out.
    pub(crate) fn lay_out(cli: &Venv, truss: &Path, folder: &Path) -> Result<Self, String> {
        let (context, app) = (folder.join("context"), folder.join("app"));
        for old in [&context, &app] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(|e| format!("{}: {e}", old.display()))?;
            }
        }
        let mut command = Command::new(cli.program("truss"));
        command.args(["image", "build-context", "--non-interactive"]).arg(&context).arg(truss);
        let app = Self(app);
        run(command.env("HOME", app.home()))?;
        for (from, to) in [
            (context.join("server"), app.0.clone()),
            (context.join("model"), app.file("model")),
            (context.join("config.yaml"), app.file("config.yaml")),
        ] {
            fs::rename(&from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
        }
        Ok(app)
    }

    /// What the server's template requires, without the line that names an index.
    pub(crate) fn requirements(&self) -> Result<PathBuf, String> {
        let file = self.file("requirements.txt");
        let edit = || {
            let text = fs::read_to_string(&file)?;
            let lines = text.lines().filter(|line| !line.starts_with("-i "));
            // The server answers with it (fastapi's `ORJSONResponse`); the base image brings it.
            let lines: Vec<&str> = lines.chain(["orjson"]).collect();
            fs::write(&file, lines.join("\n"))
        };
        edit().map_err(|e: io::Error| format!("{}: {e}", file.display()))?;
        Ok(file)
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A home folder beside it, so that nothing is read from or left in the user's.
    fn home(&self) -> PathBuf {
        self.0.with_file_name("home")
    }
}

impl Server {
    /// Starts the server on a free port and waits until its model is loaded.
    pub(crate) fn start(app: &App, venv: &Venv, leash: &Path) -> Result<Self, String> {
        let port = free_port().map_err(|e| format!("no free port: {e}"))?;
        let log = app.file("server.log");
        let spawn = || {
            let output = File::create(&log)?;
            Command::new(venv.program("python"))
                .arg(leash)
                .arg(venv.program("python"))
                .arg("main.py")
                .current_dir(&app.0)
                .env("INFERENCE_SERVER_PORT", port.to_string())
                .env("HOME", app.home())
                .env_remove("PYTHONPATH")
                .stdin(Stdio::piped())
                .stdout(output.try_clone()?)
                .stderr(output)
                .spawn()
        };
        let leash = spawn().map_err(|e| format!("cannot start the server: {e}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { address, log, leash };
        server.wait_until_loaded()?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_loaded(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while !self.is_loaded().unwrap_or(false) {
            let ended = self.leash.try_wait().is_ok_and(|status| status.is_some());
            if ended || start.elapsed() > START {
                let how = if ended { "ended".into() } else { format!("not loaded in {START:?}") };
                let said = fs::read(&self.log).unwrap_or_default();
                let said = tail(&String::from_utf8_lossy(&said), 3);
                return Err(format!("the server {how}: {said} (all in {})", self.log.display()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Asks without the clients under test.
    fn is_loaded(&self) -> io::Result<bool> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(b"GET /v1/models/model/loaded HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200 "))
    }

    /// The file with all that it has said.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The leash kills the server's process group when its standard input ends.
        drop(self.leash.stdin.take());
        self.leash.wait().ok();
    }
}

/// Free now, which is as much as can be known.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
