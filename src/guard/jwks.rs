//! Public keys of other issuers (RFC 7517): read from a file or an address, found by `kid`.

use crate::settings::Jwks;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

/// However many tokens name unknown keys, the source is not asked more often than this.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);
/// How long the source may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A larger key set is not one.
const MOST_BYTES: u64 = 1 << 20;

/// The public keys that are valid now. A key stays until a set without it has been read; while the source
/// is away the last set stands.
pub struct KeySet {
    source: Jwks,
    keys: RwLock<HashMap<String, (Algorithm, DecodingKey)>>,
    last: tokio::sync::Mutex<Option<Instant>>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("source", &self.source)
            .field("keys", &self.keys.read().len())
            .finish_non_exhaustive()
    }
}

impl KeySet {
    /// Reads the file, which must be there; an address is asked later, by [`KeySet::refresh`].
    ///
    /// # Errors
    ///
    /// One line that names the setting.
    pub fn new(source: Jwks) -> Result<Self, String> {
        let set = Self {
            keys: RwLock::default(),
            last: tokio::sync::Mutex::default(),
            source,
        };
        if let Jwks::File(_) = set.source {
            let keys = read(&set.source).map_err(|fault| {
                format!("JWKS_FILE: {fault}; for example JWKS_FILE=/etc/signalbox/jwks.json")
            })?;
            *set.keys.write() = keys;
        }
        Ok(set)
    }

    /// The key of that id, with the only algorithm that it is good for.
    pub(super) fn get(&self, kid: &str) -> Option<(Algorithm, DecodingKey)> {
        self.keys.read().get(kid).cloned()
    }

    /// Reads the keys again, unless that was done a moment ago. Callers at the same time share one reading.
    pub async fn refresh(&self) {
        let mut last = self.last.lock().await;
        if last.is_some_and(|at| at.elapsed() < LEAST_INTERVAL) {
            return;
        }
        let source = self.source.clone();
        let keys = tokio::task::spawn_blocking(move || read(&source)).await;
        *last = Some(Instant::now());
        match keys {
            Ok(Ok(keys)) => *self.keys.write() = keys,
            Ok(Err(fault)) => tracing::warn!(
                target: "signalbox::keys",
                detail = fault.as_str(),
                "The public keys could not be read; the last ones stand."
            ),
            Err(_) => {}
        }
    }
}

fn read(source: &Jwks) -> Result<HashMap<String, (Algorithm, DecodingKey)>, String> {
    let text = match source {
        Jwks::File(path) => std::fs::read_to_string(path)
            .map_err(|e| format!("{} cannot be read ({e})", path.display()))?,
        Jwks::Url(url) => {
            let config = ureq::Agent::config_builder()
                .timeout_global(Some(PATIENCE))
                .max_redirects(0)
                .build();
            let mut answer = ureq::Agent::new_with_config(config)
                .get(url)
                .call()
                .map_err(|e| format!("the address does not answer with keys ({e})"))?;
            let body = answer.body_mut().with_config().limit(MOST_BYTES);
            body.read_to_string()
                .map_err(|e| format!("the address does not answer with keys ({e})"))?
        }
    };
    parse(&text)
}

/// The keys of a set that can be used; those of other kinds are passed over.
fn parse(text: &str) -> Result<HashMap<String, (Algorithm, DecodingKey)>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set =
        serde_json::from_str(text).map_err(|_| "it is not a JWK set (RFC 7517)".to_owned())?;
    let usable = set.keys.into_iter().filter_map(|key| {
        let key: Jwk = serde_json::from_value(key).ok()?;
        let algorithm = algorithm(&key)?;
        let decoding = DecodingKey::from_jwk(&key).ok()?;
        Some((key.common.key_id?, (algorithm, decoding)))
    });
    let keys: HashMap<_, _> = usable.collect();
    if keys.is_empty() {
        return Err("it has no RS256, ES256 or EdDSA key with a kid".to_owned());
    }
    Ok(keys)
}

/// The key's kind decides, never a token. Shared secrets have no place in a public set.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    if key.common.public_key_use == Some(PublicKeyUse::Encryption) {
        return None;
    }
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let said = key.common.key_algorithm.map(|said| said.to_string());
    said.is_none_or(|said| said == format!("{algorithm:?}"))
        .then_some(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_kind_of_a_key_decides_its_algorithm_and_others_are_passed_over() {
        // The example keys of RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
        let ec = json!({"kty": "EC", "crv": "P-256", "kid": "ec",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let secret = json!({"kty": "oct", "kid": "oct", "k": "c2VjcmV0"});
        let strange = json!({"kty": "LWE", "kid": "new"});
        let nameless = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let liar = json!({"kty": "OKP", "crv": "Ed25519", "kid": "liar", "alg": "HS256",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let set = json!({"keys": [ec, ed, secret, strange, nameless, liar]}).to_string();

        let keys = parse(&set).unwrap();
        let mut found: Vec<_> = keys
            .iter()
            .map(|(kid, (alg, _))| (kid.as_str(), *alg))
            .collect();
        found.sort_by_key(|(kid, _)| *kid);
        assert_eq!(found, [("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)]);
        for wrong in ["", "[]", "{}", r#"{"keys": []}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
