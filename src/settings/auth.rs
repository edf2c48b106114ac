//! Who may connect: the key ring and what a token must say.

use super::{Env, Profile, SettingError};
use rand::{Rng, distr::Alphanumeric};
use std::{fmt, path::PathBuf, time::Duration};

/// Who may connect.
#[derive(Clone)]
pub struct Auth {
    /// HS256 secrets: the first signs, all verify.
    pub secrets: Vec<String>,
    /// The secret was made up at start (development only).
    pub generated: bool,
    /// Tokens must expire.
    pub require_exp: bool,
    /// Allowed clock difference to the issuer.
    pub leeway: Duration,
    /// The issuer that tokens must name, if any.
    pub issuer: Option<String>,
    /// The audience that tokens must name, if any.
    pub audience: Option<String>,
    /// The token's device role is binding.
    pub strict_device_role: bool,
    /// Public keys of other issuers.
    pub jwks: Option<Jwks>,
    /// How often they are read again.
    pub jwks_refresh: Duration,
    /// How long access tokens of this server are good for.
    pub access_ttl: Duration,
    /// How long a login lasts that is not used.
    pub refresh_ttl: Duration,
}

/// Where public keys come from (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwks {
    /// A file.
    File(PathBuf),
    /// An http(s) address.
    Url(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("secrets", &format!("{} (not shown)", self.secrets.len()))
            .field("generated", &self.generated)
            .field("require_exp", &self.require_exp)
            .field("leeway", &self.leeway)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("strict_device_role", &self.strict_device_role)
            .field("jwks", &self.jwks)
            .field("access_ttl", &self.access_ttl)
            .field("refresh_ttl", &self.refresh_ttl)
            .finish_non_exhaustive()
    }
}

/// Secrets shorter than the output of SHA-256 weaken HS256 (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
const SAMPLES: [&str; 6] = [
    "change-me",
    "changeme",
    "your-secret",
    "dev-secret",
    "example",
    "secret-key",
];
const GOOD_SECRET: &str = "$(openssl rand -hex 32)";

impl Auth {
    pub(super) fn read(env: &Env, profile: Profile) -> Result<Self, SettingError> {
        let found = env.list(&["SOCKET_JWT_SECRET", "JWT_SECRET"]);
        let name = found.as_ref().map_or("SOCKET_JWT_SECRET", |(n, _)| n);
        let mut secrets = found.map(|(_, list)| list).unwrap_or_default();
        if profile == Profile::Production {
            let fault = if secrets.is_empty() {
                Some("is required in production")
            } else if secrets.iter().any(|s| s.len() < SHORTEST_SECRET) {
                Some("has a secret shorter than 32 bytes")
            } else if secrets.iter().any(|s| {
                let s = s.to_ascii_lowercase();
                SAMPLES.iter().any(|sample| s.contains(sample))
            }) {
                Some("is a sample from a document, anyone can sign with it")
            } else {
                None
            };
            if let Some(fault) = fault {
                return Err(SettingError::new(name, fault, GOOD_SECRET));
            }
        }
        let generated = secrets.is_empty();
        if generated {
            let secret = rand::rng().sample_iter(Alphanumeric).take(48);
            secrets.push(secret.map(char::from).collect());
        }
        Ok(Self {
            secrets,
            generated,
            require_exp: env.flag("JWT_REQUIRE_EXP", true)?,
            leeway: env.duration("JWT_LEEWAY", Duration::from_secs(30), "30s")?,
            issuer: env.text("JWT_ISSUER").map(str::to_owned),
            audience: env.text("JWT_AUDIENCE").map(str::to_owned),
            strict_device_role: env.flag("STRICT_DEVICE_ROLE", false)?,
            jwks: jwks(env)?,
            jwks_refresh: env.duration("JWKS_REFRESH", Duration::from_mins(5), "5m")?,
            access_ttl: env.duration("ACCESS_TOKEN_TTL", Duration::from_hours(24), "1h")?,
            refresh_ttl: env.duration("REFRESH_TOKEN_TTL", Duration::from_hours(24 * 30), "30d")?,
        })
    }
}

fn jwks(env: &Env) -> Result<Option<Jwks>, SettingError> {
    let file = env.text("JWKS_FILE").map(|path| Jwks::File(path.into()));
    let url = env.url("JWKS_URL", "https://id.example.com/.well-known/jwks.json")?;
    if file.is_some() && url.is_some() {
        return Err(SettingError::new(
            "JWKS_URL",
            "is set together with JWKS_FILE, only one of them can be the source of keys",
            "https://id.example.com/.well-known/jwks.json",
        ));
    }
    Ok(file.or(url.map(Jwks::Url)))
}
