//! Where and how the server listens, and in which language it speaks.

use super::{Env, SettingError};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Development is forgiving and helpful, production strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Secrets are generated, tokens printed, any origin is let in.
    Development,
    /// Secrets are required, nothing is printed, origins are listed.
    Production,
}

/// The language of messages that clients show (`MESSAGE_LANGUAGE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English, the default.
    En,
    /// Korean, the texts of the original systems.
    Ko,
}

/// What the server shows that it is the one it says, both in PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate and those between it and a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where and how the server listens.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address of the public listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A listener of its own for operations endpoints.
    pub admin: Option<SocketAddr>,
    /// Development or production.
    pub profile: Profile,
    /// Language of client-facing messages.
    pub language: Language,
    /// Certificate and key, where the server speaks TLS itself.
    pub tls: Option<Tls>,
    /// Origins that browsers may come from; `*` lets any in.
    pub origins: Vec<String>,
    /// How many proxies in front are trusted to append to `X-Forwarded-For`.
    pub trusted_proxy_hops: usize,
    /// Engine.IO ping interval.
    pub ping_interval: Duration,
    /// Engine.IO ping timeout.
    pub ping_timeout: Duration,
    /// How long a transport may be open without having joined a namespace.
    pub connect_timeout: Duration,
    /// Threads that handle events.
    pub worker_threads: usize,
    /// How long closing the sockets may take while draining.
    pub drain_period: Duration,
}

impl Server {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        let profile = match env.any(&["NODE_ENV", "APP_ENV"]) {
            None | Some((_, "development" | "test")) => Profile::Development,
            Some((_, "production")) => Profile::Production,
            Some((name, _)) => {
                return Err(SettingError::new(
                    name,
                    "is not development, test or production",
                    "production",
                ));
            }
        };
        let host = match env.text("HOST") {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(text) => text
                .parse()
                .map_err(|_| SettingError::new("HOST", "is not an IP address", "127.0.0.1"))?,
        };
        let port = env.number("PORT", 3000, 0..=65_535, "3000")?;
        let language = match env.text("MESSAGE_LANGUAGE") {
            None | Some("en") => Language::En,
            Some("ko") => Language::Ko,
            Some(_) => {
                return Err(SettingError::new(
                    "MESSAGE_LANGUAGE",
                    "is not en or ko",
                    "en",
                ));
            }
        };
        let admin = env
            .text("ADMIN_ADDR")
            .map(|text| {
                text.parse().map_err(|_| {
                    SettingError::new("ADMIN_ADDR", "is not address:port", "127.0.0.1:9464")
                })
            })
            .transpose()?;
        Ok(Self {
            listen: SocketAddr::new(host, port),
            admin,
            profile,
            language,
            tls: tls(env)?,
            origins: origins(env, profile)?,
            trusted_proxy_hops: env.number("TRUSTED_PROXY_HOPS", 0, 0..=10, "1")?,
            ping_interval: env.duration("PING_INTERVAL", Duration::from_secs(25), "25s")?,
            ping_timeout: env.duration("PING_TIMEOUT", Duration::from_secs(20), "20s")?,
            connect_timeout: env.duration("CONNECT_TIMEOUT", Duration::from_secs(10), "10s")?,
            worker_threads: env.number("WORKER_THREADS", half_the_cores(), 1..=1024, "2")?,
            drain_period: env.duration("DRAIN_PERIOD", Duration::from_secs(5), "5s")?,
        })
    }

    /// Whether this runs in production.
    pub fn production(&self) -> bool {
        self.profile == Profile::Production
    }
}

/// The kernel's half of the work needs cores as well, and at low load every further worker costs more in
/// waking up than it takes over (docs/PERFORMANCE.md).
fn half_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

fn tls(env: &Env) -> Result<Option<Tls>, SettingError> {
    let (cert, key) = (env.text("TLS_CERT"), env.text("TLS_KEY"));
    let lone = |name, example| {
        Err(SettingError::new(
            name,
            "is needed as well: certificate and key belong together",
            example,
        ))
    };
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(Tls {
            cert: cert.into(),
            key: key.into(),
        })),
        (None, None) => Ok(None),
        (None, Some(_)) => lone("TLS_CERT", "/etc/signalbox/cert.pem"),
        (Some(_), None) => lone("TLS_KEY", "/etc/signalbox/key.pem"),
    }
}

const EXAMPLE: &str = "https://app.example.com,https://monitor.example.com";

fn origins(env: &Env, profile: Profile) -> Result<Vec<String>, SettingError> {
    let Some((name, list)) = env.list(&["CORS_ORIGINS", "CORS_ORIGIN", "CLIENT_URL"]) else {
        return Ok(match profile {
            Profile::Development => vec!["*".to_owned()],
            Profile::Production => Vec::new(),
        });
    };
    for origin in &list {
        if origin == "*" {
            if profile == Profile::Production {
                return Err(SettingError::new(
                    name,
                    "must list its origins in production, * lets every site in",
                    EXAMPLE,
                ));
            }
            continue;
        }
        let fine = origin.parse::<http::Uri>().is_ok_and(|uri| {
            uri.scheme().is_some()
                && uri.authority().is_some()
                && uri.path().trim_end_matches('/').is_empty()
        });
        if !fine {
            return Err(SettingError::new(
                name,
                "has an entry that is not scheme://host[:port]",
                EXAMPLE,
            ));
        }
    }
    let trimmed = list.into_iter().map(|o| {
        let o = o.trim_end_matches('/');
        o.to_ascii_lowercase()
    });
    Ok(trimmed.collect())
}
