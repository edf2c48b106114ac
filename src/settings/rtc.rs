//! Signaling: guests, and the servers that help peers through NAT.

use super::{Env, SettingError};
use std::{fmt, time::Duration};

/// Signaling.
#[derive(Clone)]
pub struct Rtc {
    /// Clients without a token may use the signaling events.
    pub guests: bool,
    /// STUN servers, as `stun:host:port`.
    pub stun: Vec<String>,
    /// TURN servers, as `turn:host:port` or `turns:host:port`.
    pub turn: Vec<String>,
    /// The secret shared with the TURN servers.
    pub turn_secret: Option<String>,
    /// How long TURN credentials are good for.
    pub turn_ttl: Duration,
}

impl fmt::Debug for Rtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rtc")
            .field("guests", &self.guests)
            .field("stun", &self.stun)
            .field("turn", &self.turn)
            .field("turn_ttl", &self.turn_ttl)
            .finish_non_exhaustive()
    }
}

impl Rtc {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        let stun = servers(
            env,
            "STUN_URLS",
            &["stun:", "stuns:"],
            "stun:stun.example.com:3478",
        )?;
        let turn = servers(
            env,
            "TURN_URLS",
            &["turn:", "turns:"],
            "turn:turn.example.com:3478",
        )?;
        let turn_secret = env.text("TURN_SECRET").map(str::to_owned);
        if !turn.is_empty() && turn_secret.is_none() {
            return Err(SettingError::new(
                "TURN_SECRET",
                "is needed with TURN_URLS, it is the static-auth-secret of the TURN server",
                "$(openssl rand -hex 32)",
            ));
        }
        Ok(Self {
            guests: match env.text("SIGNALING_AUTH") {
                None | Some("required") => false,
                Some("optional") => true,
                Some(_) => {
                    let fault = "is not required or optional";
                    return Err(SettingError::new("SIGNALING_AUTH", fault, "required"));
                }
            },
            stun,
            turn,
            turn_secret,
            turn_ttl: env.duration("TURN_TTL", Duration::from_hours(1), "1h")?,
        })
    }
}

fn servers(
    env: &Env,
    name: &'static str,
    schemes: &[&str],
    example: &'static str,
) -> Result<Vec<String>, SettingError> {
    let list = env.list(&[name]).map(|(_, list)| list).unwrap_or_default();
    let fine = |url: &String| {
        schemes
            .iter()
            .filter_map(|scheme| url.strip_prefix(scheme))
            .any(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    };
    if list.iter().all(fine) {
        Ok(list)
    } else {
        Err(SettingError::new(
            name,
            "has an entry that is not such an address",
            example,
        ))
    }
}
