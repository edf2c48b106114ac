//! The command line: `signalbox [serve]`, `signalbox token`, `signalbox explain`, `signalbox version`.

use clap::{Parser, Subcommand, ValueEnum};
use signalbox::{
    app::App,
    clock, dev,
    explain::explain,
    guard::{Claims, Verifier},
    settings::{Env, Settings, parse_duration},
    telemetry::Telemetry,
};
use std::{io::Write, path::Path, process::ExitCode, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// A real-time Socket.IO server that can be seen into. Settings come from the environment and `.env`;
/// `.env.example` lists them all.
#[derive(Parser)]
#[command(name = "signalbox", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server (the default)
    Serve {
        /// Speak TLS with a certificate of its own, so that a phone may use its camera (development)
        #[arg(long)]
        dev_tls: bool,
    },
    /// Prints a token that the server accepts
    Token {
        /// Device role in the token
        #[arg(long, value_enum)]
        role: Role,
        /// The user
        #[arg(long)]
        sub: String,
        /// How long it is valid, such as 15m, 24h or 7d
        #[arg(long, default_value = "24h", value_parser = |s: &str| parse_duration(s).ok_or("not a duration such as 24h"))]
        ttl: Duration,
    },
    /// Says what happened to one flow: asks a running server
    Explain {
        /// A flow code such as K7-QX4M, a trace id or an error id
        code: String,
        /// The server that handled it
        #[arg(long, default_value = "http://127.0.0.1:3000")]
        url: String,
        /// An admin's token; by default one is signed with `SOCKET_JWT_SECRET`, if that is set
        #[arg(long)]
        token: Option<String>,
    },
    /// Prints the version
    Version,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Mobile,
    Monitor,
    Admin,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Monitor => "monitor",
            Self::Admin => "admin",
        }
    }
}

/// What telemetry may take to write out what waits, at exit.
const LAST_EXPORTS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let serving = Command::Serve { dev_tls: false };
    let run = match Cli::parse().command.unwrap_or(serving) {
        Command::Serve { dev_tls } => serve(dev_tls),
        Command::Token { role, sub, ttl } => token(role, &sub, ttl).map(|token| say(&token)),
        Command::Explain { code, url, token } => {
            explain_flow(&code, &url, token).map(|told| say(told.trim_end()))
        }
        Command::Version => {
            say(concat!("signalbox ", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            // A closed terminal is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "signalbox: {line}");
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The settings, and whether others know the secret by which tokens are signed: the server does.
fn settings() -> Result<(Settings, bool), String> {
    let env = Env::load(Path::new(".env")).map_err(|e| e.to_string())?;
    let mut settings = Settings::read(&env).map_err(|e| e.to_string())?;
    let known = !settings.auth.generated || dev::recall_secret(&mut settings);
    Ok((settings, known))
}

fn sign(settings: &Settings, role: &str, sub: &str, ttl: Duration) -> Result<String, String> {
    let claims = Claims {
        sub,
        role: Some(role),
        ..Claims::lasting(clock::unix_seconds(), ttl)
    };
    Verifier::new(&settings.auth, None, Arc::default())
        .sign(&claims)
        .map_err(|e| e.to_string())
}

/// Tokens that this command signs for itself.
const MOMENT: Duration = Duration::from_mins(1);

fn explain_flow(code: &str, url: &str, token: Option<String>) -> Result<String, String> {
    let (settings, known) = settings()?;
    let token = match token {
        None if known => Some(sign(&settings, Role::Admin.as_str(), "explain", MOMENT)?),
        given => given,
    };
    explain(code, url, token.as_deref())
}

fn token(role: Role, sub: &str, ttl: Duration) -> Result<String, String> {
    let (settings, known) = settings()?;
    if !known {
        return Err("SOCKET_JWT_SECRET: is needed to sign a token that a running server accepts; for example SOCKET_JWT_SECRET=$(openssl rand -hex 32)".to_owned());
    }
    sign(&settings, role.as_str(), sub, ttl)
}

fn serve(dev_tls: bool) -> Result<(), String> {
    let (mut settings, known) = settings()?;
    if dev_tls {
        dev::secure(&mut settings)?;
    }
    let settings = &settings;
    // Before the runtime: threads of the exporters inherit nothing of it.
    let (telemetry, guard) = Telemetry::start(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.server.worker_threads)
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime did not start: {e}"))?;
    let served = runtime.block_on(async {
        let app = App::build(settings, telemetry).await?;
        if !known {
            // Failing, the next run makes one up as well.
            let _ = dev::keep_secret(settings);
        }
        let stop = stop_signal().map_err(|e| format!("signals: {e}"))?;
        announce(settings, &app)?;
        Box::pin(app.run_until_stopped(stop)).await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    guard.shutdown(LAST_EXPORTS);
    served
}

/// Resolves at SIGTERM or SIGINT. A second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        });
    })
}

/// Says where the server is and, in development, how to try it.
fn announce(settings: &Settings, app: &App) -> Result<(), String> {
    let address = app.address();
    tracing::info!(
        target: "signalbox::start",
        address = %address,
        production = settings.server.production(),
        settings = ?settings,
        "Signalbox started."
    );
    if let (true, None, None) = (
        settings.server.production(),
        &settings.telemetry.metrics_token,
        settings.server.admin,
    ) {
        tracing::warn!(
            target: "signalbox::start",
            "/metrics and /status are open to everybody. Set METRICS_TOKEN, or ADMIN_ADDR to a private address."
        );
    }
    let scheme = settings.server.tls.as_ref().map_or("http", |_| "https");
    let port = address.port();
    say(&format!(
        "Signalbox {} listens on {scheme}://{address}",
        env!("CARGO_PKG_VERSION")
    ));
    if settings.server.production() {
        return Ok(());
    }
    say(&format!(
        r"
  See it work     http://localhost:{port}            a monitor, a phone and a call, in your browser
  See inside      http://localhost:{port}/console    every scan, step by step; numbers on /metrics
"
    ));
    match &settings.pages.origin {
        Some(origin) => say(&format!(
            "With a phone on the same network, scan this; it has to accept a certificate that nobody else has signed:\n\n{}\n  {origin}\n",
            dev::qr_code(origin)
        )),
        None => say("  A phone's camera needs HTTPS: signalbox serve --dev-tls\n"),
    }
    if !settings.auth.generated {
        return Ok(());
    }
    let day = Duration::from_hours(24);
    let phone = sign(settings, "mobile", "demo-phone", day)?;
    let monitor = sign(settings, "monitor", "demo-monitor", day)?;
    say(&format!(
        r"No SOCKET_JWT_SECRET is set, so one was made up and is kept in {}. Two tokens for your own clients, good for a day:

  phone    {phone}
  monitor  {monitor}
",
        settings.store.data_dir.display()
    ));
    Ok(())
}
