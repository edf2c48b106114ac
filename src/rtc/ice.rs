//! Servers that help peers through NAT, with credentials for a while.
//!
//! TURN credentials as in draft-uberti-behave-turn-rest-00: the user name is the end of validity and the
//! user, the password the HMAC-SHA1 of that with the secret that the TURN server knows too.

use crate::settings::Rtc;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// One entry of an `RTCConfiguration`'s `iceServers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Its addresses.
    pub urls: Vec<String>,
    /// User name and password, of a TURN server.
    pub credentials: Option<(String, String)>,
}

/// The servers of the settings, for `user`, from `now`, in seconds since 1970.
pub fn ice_servers(settings: &Rtc, user: &str, now: u64) -> Vec<IceServer> {
    let mut servers = Vec::new();
    if !settings.stun.is_empty() {
        servers.push(IceServer {
            urls: settings.stun.clone(),
            credentials: None,
        });
    }
    if let Some(secret) = &settings.turn_secret
        && !settings.turn.is_empty()
    {
        let username = format!("{}:{user}", now.saturating_add(settings.turn_ttl.as_secs()));
        servers.push(IceServer {
            urls: settings.turn.clone(),
            credentials: Some((username.clone(), password(secret, &username))),
        });
    }
    servers
}

fn password(secret: &str, username: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Env, Settings};

    #[test]
    fn turn_credentials_are_those_that_a_turn_server_computes() {
        let env = Env::from_pairs([
            ("STUN_URLS", "stun:a:3478"),
            ("TURN_URLS", "turn:b:3478,turns:b:5349"),
            ("TURN_SECRET", "north"),
            ("TURN_TTL", "1h"),
        ]);
        let settings = Settings::read(&env).unwrap().rtc;
        let servers = ice_servers(&settings, "u1", 1_700_000_000);

        assert_eq!(servers[0].credentials, None);
        assert_eq!(servers[1].urls, ["turn:b:3478", "turns:b:5349"]);
        // printf %s 1700003600:u1 | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(
            servers[1].credentials,
            Some((
                "1700003600:u1".into(),
                "v/htRUiFiOnpNCbrnctUyh6uZAg=".into()
            ))
        );
        let none = Settings::read(&Env::from_pairs([])).unwrap().rtc;
        assert!(ice_servers(&none, "u1", 0).is_empty());
    }
}
