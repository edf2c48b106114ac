//! What can be set: one struct per concern, read once at start from the environment and `.env`.
//!
//! A wrong value stops the start with one line that names the variable, its fault and a good value.

mod auth;
mod chat;
mod env;
mod fault;
mod gpt;
mod limits;
mod pages;
mod queue;
mod rtc;
mod scan;
mod server;
mod store;
mod telemetry;

pub use auth::{Auth, Jwks};
pub use chat::Chat;
pub use env::{Env, SettingError, parse_duration};
pub use fault::{EventFault, Fault, LedgerFault};
pub use gpt::Gpt;
pub use limits::{Limits, Rate};
pub use pages::{ORDER_NO, Pages};
pub use queue::Queue;
pub use rtc::Rtc;
pub use scan::{Scan, WithoutStore};
pub use server::{Language, Profile, Server, Tls};
pub use store::{Database, Store};
pub use telemetry::{Console, Telemetry};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where and how the server listens.
    pub server: Server,
    /// Who may connect.
    pub auth: Auth,
    /// How much anybody may ask for.
    pub limits: Limits,
    /// The scan relay.
    pub scan: Scan,
    /// Signaling.
    pub rtc: Rtc,
    /// Waiting queues, seats, and how long users are remembered.
    pub queue: Queue,
    /// Chat, and what protects it.
    pub chat: Chat,
    /// The assistant in chat rooms, if there is one.
    pub gpt: Option<Gpt>,
    /// What the pages are told.
    pub pages: Pages,
    /// Where what must last is kept.
    pub store: Store,
    /// Logs, metrics, traces and error reports.
    pub telemetry: Telemetry,
    /// A fault for drills.
    pub fault: Option<Fault>,
}

impl Settings {
    /// Reads all settings from `env`.
    ///
    /// # Errors
    ///
    /// The first setting whose value cannot be used.
    pub fn read(env: &Env) -> Result<Self, SettingError> {
        let server = Server::read(env)?;
        Ok(Self {
            auth: Auth::read(env, server.profile)?,
            limits: Limits::read(env)?,
            scan: Scan::read(env)?,
            rtc: Rtc::read(env)?,
            queue: Queue::read(env)?,
            chat: Chat::read(env)?,
            gpt: Gpt::read(env)?,
            pages: Pages::read(env)?,
            store: Store::read(env)?,
            telemetry: Telemetry::read(env, server.profile)?,
            fault: Fault::read(env, server.profile)?,
            server,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_names_every_setting_with_its_default() {
        let env = Env::from_pairs([]);
        Settings::read(&env).unwrap();
        let text = include_str!("../../.env.example");
        let shown: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|l| l.trim_start_matches("# ").split_once('='))
            .filter(|(k, _)| k.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
            .collect();

        for name in env.names_read() {
            assert!(
                shown.iter().any(|(k, _)| *k == name),
                "{name} is not in .env.example"
            );
        }
        for (name, _) in &shown {
            assert!(
                env.names_read().iter().any(|n| n == name),
                "{name} in .env.example is read by nothing"
            );
        }
        // Setting every default explicitly changes nothing and is accepted.
        let pairs = shown.iter().filter(|(_, v)| !v.is_empty());
        Settings::read(&Env::from_pairs(pairs.map(|(k, v)| (*k, *v)))).unwrap();
    }

    #[test]
    fn a_wrong_value_is_one_line_with_name_fault_and_example() {
        for (name, value) in [
            ("PORT", "70000"),
            ("PING_INTERVAL", "soon"),
            ("EVENT_RATE", "0"),
            ("TRACE_SAMPLE_RATIO", "1.5"),
            ("MESSAGE_LANGUAGE", "fr"),
            ("NODE_ENV", "prod"),
            ("CORS_ORIGINS", "example.com"),
            ("LOG_LEVEL", "loud=="),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("SENTRY_DSN", "x"),
            ("STRICT_DEVICE_ROLE", "maybe"),
            ("FAULT_INJECTION", "explode"),
            ("SIGNALING_AUTH", "maybe"),
            ("DATABASE_URL", "mysql://localhost/x"),
            ("TURN_URLS", "http://turn.example.com"),
            ("JWKS_URL", "keys.json"),
            ("SCAN_WITHOUT_STORE", "wait"),
            ("QUEUE_THRESHOLD", "many"),
            ("SEAT_HOLD", "-5m"),
            ("SEATS_PER_USER", "0"),
            ("BLOCK_AFTER", "0"),
            ("GPT_BASE_URL", "ftp://models"),
            ("GPT_QUEUE_MAX", "0"),
            ("BLOCK_DURATION", "soon"),
            ("CHAT_RETENTION", "forever"),
            ("ORDER_URL_TEMPLATE", "https://example.com/orders"),
        ] {
            let error = Settings::read(&Env::from_pairs([(name, value)]))
                .expect_err(name)
                .to_string();

            assert!(error.starts_with(&format!("{name}: ")), "{error}");
            assert!(error.contains("for example"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn production_refuses_missing_short_and_sample_secrets() {
        let read = |secret| {
            Settings::read(&Env::from_pairs([
                ("NODE_ENV", "production"),
                ("SOCKET_JWT_SECRET", secret),
            ]))
        };

        assert!(read("").is_err());
        assert!(read("short").is_err());
        assert!(read("change-me-change-me-change-me-change-me").is_err());
        assert!(read("your-secret-key-min-8-chars-your-secret").is_err());
        assert!(read("8f3b1c09d7e24a65b0c1f2e3d4a5b6c7").is_ok());
        assert!(read("8f3b1c09d7e24a65b0c1f2e3d4a5b6c7,old").is_err());
    }

    #[test]
    fn printing_settings_shows_no_secret() {
        let settings = Settings::read(&Env::from_pairs([
            ("SOCKET_JWT_SECRET", "MARKER-secret-MARKER-secret-MARKER"),
            ("METRICS_TOKEN", "MARKER-metrics-token"),
            ("SENTRY_DSN", "http://MARKER@127.0.0.1:9/1"),
            ("DATABASE_URL", "postgres://user:MARKER@db/x"),
            ("TURN_SECRET", "MARKER"),
            ("GPT_BASE_URL", "http://127.0.0.1:9/v1"),
            ("GPT_MODEL", "model"),
            ("GPT_API_KEY", "MARKER"),
        ]))
        .unwrap();

        assert!(!format!("{settings:?}").contains("MARKER"));
    }
}
