//! A real PostgreSQL on a free port in a directory of its own.

use crate::support::eventually;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Where Debian puts the programs.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed")
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is not installed")
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout == b"0\n" {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// A running PostgreSQL. Dropping it ends it and removes its directory.
pub(crate) struct Postgres {
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("signalbox-pg-{:x}", rand::random::<u64>()));
        let mut init = as_postgres(&program("initdb"));
        let made = init
            .args([
                "-A",
                "trust",
                "-U",
                "signalbox",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(&dir)
            .current_dir("/tmp")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        // Below the ports that the kernel gives to clients: one of those that wait for the server could
        // be given the very port and connect to itself.
        let port = std::iter::repeat_with(|| rand::random_range(15_000..32_000))
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap();
        let mut postgres = Self {
            child: None,
            dir,
            port,
        };
        postgres.run();
        postgres
    }

    /// Starts it again.
    pub(crate) fn run(&mut self) {
        let child = as_postgres(&program("postgres"))
            .arg("-D")
            .arg(&self.dir)
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
            ])
            .args(["-c", "fsync=off", "-k"])
            .arg(&self.dir)
            .current_dir("/tmp")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("PostgreSQL", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "PostgreSQL ended");
            self.try_sql("SELECT 1")
        });
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://signalbox@127.0.0.1:{}/postgres", self.port)
    }

    /// What a statement answers, one row a line, columns by `|`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.try_sql(statement)
            .unwrap_or_else(|| panic!("PostgreSQL refused {statement}"))
    }

    fn try_sql(&self, statement: &str) -> Option<String> {
        let output = self.psql(statement).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    }

    /// A client that sends a statement.
    pub(crate) fn psql(&self, statement: &str) -> Command {
        let mut command = Command::new(program("psql"));
        command
            .args(["-XqAt", "-h", "127.0.0.1", "-U", "signalbox", "-p"])
            .args([&self.port.to_string(), "-d", "postgres", "-c", statement])
            .env("PGCONNECT_TIMEOUT", "5")
            .stderr(Stdio::null());
        command
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let pid = child.id().to_string();
            let _ = Command::new("kill").args([signal, &pid]).status();
        }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn crash(&mut self) {
        self.signal("-QUIT");
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.crash();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
