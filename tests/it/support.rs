//! Starts the program, speaks to it over plain sockets, receives what it exports.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

pub(crate) const SECRET: &str = "integration-secret-0123456789-0123456789";

/// A running server with its own directory. Dropping it kills it and removes the directory.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) dir: PathBuf,
    keep: bool,
}

impl Server {
    /// Starts with these settings on top of a quiet default.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("signalbox-it-{:x}", rand::random::<u64>()));
        fs::create_dir_all(&dir).unwrap();
        Self::start_in(dir, settings)
    }

    /// Starts with a disk of 1 MiB at `data`, which others reach by [`Server::small_disk`].
    pub(crate) fn start_with_a_small_disk(settings: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("signalbox-it-{:x}", rand::random::<u64>()));
        fs::create_dir_all(dir.join("data")).unwrap();
        let mount = format!(
            "mount -t tmpfs -o size=1m tmpfs {}/data && exec {}",
            dir.display(),
            env!("CARGO_BIN_EXE_signalbox")
        );
        // A mount that only this process sees needs no rights that others would not have.
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]);
        Self::run(command, dir, settings)
    }

    pub(crate) fn small_disk(&self) -> PathBuf {
        let seen_by = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        seen_by
            .join(self.dir.strip_prefix("/").unwrap())
            .join("data")
    }

    fn start_in(dir: PathBuf, settings: &[(&str, &str)]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_signalbox")), dir, settings)
    }

    fn run(mut command: Command, dir: PathBuf, settings: &[(&str, &str)]) -> Self {
        let mut child = command
            .current_dir(&dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PORT", "0")
            .env("HOST", "127.0.0.1")
            .env("SOCKET_JWT_SECRET", SECRET)
            .env("LOG_CONSOLE", "off")
            // A test counts what it did itself.
            .env("CANARY_INTERVAL", "off")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .rsplit_once("http://")
            .unwrap_or_else(|| panic!("it did not start: {line}"))
            .1
            .parse()
            .unwrap();
        Self {
            child,
            address,
            dir,
            keep: false,
        }
    }

    /// Kills it without warning and starts another one in the same directory.
    pub(crate) fn killed_and_restarted(mut self, settings: &[(&str, &str)]) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.keep = true;
        Self::start_in(self.dir.clone(), settings)
    }

    /// A plain connection with a read limit, so that a test fails instead of hanging.
    pub(crate) fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    /// Sends raw bytes and returns everything until the server closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut tcp = self.tcp();
        // The server may close before it has read everything.
        let _ = tcp.write_all(bytes);
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One HTTP request with `Connection: close`; returns status and the whole answer.
    pub(crate) fn http(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let length = body.len();
        let host = self.address;
        let answer = self.raw(
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
            )
            .as_bytes(),
        );
        (status(&answer), answer)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.http("GET", path, "", "")
    }

    /// The body of a GET.
    pub(crate) fn body(&self, path: &str, headers: &str) -> String {
        let (_, answer) = self.http("GET", path, headers, "");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(
            !head.to_lowercase().contains("transfer-encoding"),
            "a chunked body: {head}"
        );
        body.to_owned()
    }

    /// All samples of `/metrics`.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        let text = self.body("/metrics", "");
        let lines = text
            .lines()
            .filter(|l| !l.starts_with('#') && !l.is_empty());
        lines
            .map(|l| {
                let (name, value) = l.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        *self
            .metrics()
            .get(name)
            .unwrap_or_else(|| panic!("no metric {name}"))
    }

    /// Every line of a log, once `wanted` holds for them.
    pub(crate) fn logs(&self, prefix: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually("the log lines", || {
            let files = fs::read_dir(self.dir.join("logs")).unwrap();
            let mut lines = Vec::new();
            for file in files.map(|f| f.unwrap().path()) {
                if file
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with(prefix)
                {
                    let text = fs::read_to_string(file).unwrap();
                    let complete = text.lines().filter_map(|l| serde_json::from_str(l).ok());
                    lines.extend(complete);
                }
            }
            wanted(&lines).then_some(lines)
        })
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Its exit code, within `limit`.
    pub(crate) fn exit_code(&mut self, limit: Duration) -> i32 {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "it did not stop within {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.keep {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Runs the program to its end; returns exit code, stdout and stderr.
pub(crate) fn run(args: &[&str], settings: &[(&str, &str)]) -> (i32, String, String) {
    run_in(&std::env::temp_dir(), args, settings)
}

/// The same in a directory of one's choice.
pub(crate) fn run_in(
    dir: &Path,
    args: &[&str],
    settings: &[(&str, &str)],
) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Waits for a condition, not for a time.
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// The status of an HTTP answer, 0 where there is none.
pub(crate) fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0)
}

/// A token with these claims, signed with the test secret.
pub(crate) fn token(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

/// A good token for an hour.
pub(crate) fn good_token(user: &str, role: &str) -> String {
    token(&json!({ "sub": user, "role": role, "exp": now() + 3600 }))
}

pub(crate) fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

/// A WebSocket that speaks Engine.IO by hand.
pub(crate) struct Client {
    pub(crate) ws: WebSocket<TcpStream>,
    pub(crate) id: String,
}

impl Client {
    /// Upgraded and opened, no namespace joined.
    pub(crate) fn open(server: &Server) -> Self {
        Self::try_open(server, &[]).unwrap_or_else(|status| panic!("refused with {status}"))
    }

    pub(crate) fn try_open(server: &Server, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let url = format!(
            "ws://{}/socket.io/?EIO=4&transport=websocket",
            server.address
        );
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match tungstenite::client(request, server.tcp()) {
            Ok((ws, _)) => {
                let mut client = Self {
                    ws,
                    id: String::new(),
                };
                assert!(client.read().unwrap().starts_with("0{"));
                Ok(client)
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Connected to `/` with a token for `role`.
    pub(crate) fn connect(server: &Server, user: &str, role: &str) -> Self {
        Self::with_token(server, &good_token(user, role)).unwrap()
    }

    /// Connected to `/`, or what `CONNECT_ERROR` says.
    pub(crate) fn with_token(server: &Server, token: &str) -> Result<Self, String> {
        let mut client = Self::open(server);
        client.send(&format!("40{}", json!({ "token": token })));
        let answer = client.read().unwrap();
        if let Some(refusal) = answer.strip_prefix("44") {
            let refusal: Value = serde_json::from_str(refusal).unwrap();
            return Err(refusal["message"].as_str().unwrap().to_owned());
        }
        let connected: Value = serde_json::from_str(&answer[2..]).unwrap();
        connected["sid"]
            .as_str()
            .unwrap()
            .clone_into(&mut client.id);
        Ok(client)
    }

    /// Registered and in a session.
    pub(crate) fn in_session(server: &Server, user: &str, role: &str, session: &str) -> Self {
        let mut client = Self::connect(server, user, role);
        client.emit("registerClient", &json!({ "role": role }));
        client.event("registered");
        client.emit("joinSession", &json!({ "sessionId": session }));
        client.event("joinedSession");
        client
    }

    pub(crate) fn send(&mut self, packet: &str) {
        // A server that has closed is found out by reading.
        let _ = self.ws.send(Message::text(packet));
    }

    pub(crate) fn emit(&mut self, event: &str, payload: &Value) {
        self.send(&format!("42{}", json!([event, payload])));
    }

    /// Emits with an acknowledgement and waits for it.
    pub(crate) fn ask(&mut self, event: &str, payload: &Value) -> Value {
        self.send(&format!("427{}", json!([event, payload])));
        self.ack()
    }

    /// The next acknowledgement, whatever comes before it.
    pub(crate) fn ack(&mut self) -> Value {
        loop {
            let packet = self.read().expect("an acknowledgement");
            if let Some(args) = packet.strip_prefix("437") {
                let args: Vec<Value> = serde_json::from_str(args).unwrap();
                return args.into_iter().next().unwrap_or_default();
            }
        }
    }

    /// The payload of the next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let packet = self.read().unwrap_or_else(|| panic!("no {name}: closed"));
            if let Some(args) = packet.strip_prefix("42") {
                // It may ask for an acknowledgement, by a number.
                let args = args.trim_start_matches(|c: char| c.is_ascii_digit());
                let args: Vec<Value> = serde_json::from_str(args).unwrap();
                if args[0] == name {
                    return args.into_iter().nth(1).unwrap_or_default();
                }
            }
        }
    }

    /// The next Engine.IO packet; pings are answered. `None` once the server has closed.
    pub(crate) fn read(&mut self) -> Option<String> {
        loop {
            match self.ws.read() {
                Ok(Message::Text(text)) if text.as_str() == "2" => self.send("3"),
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Reads until the server closes; false if it did not within the read limit.
    pub(crate) fn closed(mut self) -> bool {
        loop {
            match self.ws.read() {
                Ok(Message::Text(text)) if text.as_str() == "2" => self.send("3"),
                Ok(Message::Close(_)) => return true,
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    return false;
                }
                Err(_) => return true,
            }
        }
    }
}

/// A phone and a monitor that have nothing to do with what else happens.
pub(crate) struct Bystanders {
    phone: Client,
    monitor: Client,
    scans: u64,
}

impl Bystanders {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            monitor: Client::in_session(server, "by-monitor", "monitor", "bystanders"),
            phone: Client::in_session(server, "by-phone", "mobile", "bystanders"),
            scans: 0,
        }
    }

    /// Relays one scan and returns how long it took.
    pub(crate) fn relay(&mut self) -> Duration {
        self.scans += 1;
        let order = format!("by-{}", self.scans);
        let began = Instant::now();
        self.phone.emit(
            "scanOrder",
            &json!({ "sessionId": "bystanders", "orderNo": order, "ts": 1 }),
        );
        let seen = self.monitor.event("navigate");
        let took = began.elapsed();
        assert_eq!(seen["orderNo"], order.as_str());
        // Without a database it has no place.
        assert_eq!(seen["seq"].as_u64().unwrap_or(self.scans), self.scans);
        took
    }
}

/// An HTTP endpoint that answers 200 and hands over the bodies it gets.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) bodies: mpsc::Receiver<Vec<u8>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bodies) = mpsc::channel();
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let sender = sender.clone();
                std::thread::spawn(move || serve(tcp.unwrap(), &sender));
            }
        });
        Self { address, bodies }
    }
}

fn serve(tcp: TcpStream, bodies: &mpsc::Sender<Vec<u8>>) -> Option<()> {
    let mut writer = tcp.try_clone().unwrap();
    let mut reader = BufReader::new(tcp);
    loop {
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                let mut chunk = vec![0; size + 2];
                reader.read_exact(&mut chunk).ok()?;
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..size]);
            }
        } else {
            body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
        }
        bodies.send(body).ok()?;
        writer
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            .ok()?;
    }
}
