//! Tokens: the key ring, what is checked, and who comes out of it (contract, section 2).

use crate::{
    event::{Device, Identity, is_label},
    settings::Auth,
};
use http::HeaderMap;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Why a token is not accepted. What exactly was wrong stays here: it would help an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// There is none.
    Missing,
    /// It is not one of ours, or not yet, or no longer.
    Bad,
    /// It was one of ours.
    Expired,
}

/// What we put into a token.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// The device role.
    pub role: String,
    /// Issued at, seconds since 1970.
    pub iat: u64,
    /// Ends at, seconds since 1970.
    pub exp: u64,
    /// The issuer, where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audience, where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// What we read out of one.
#[derive(Deserialize)]
struct Accepted {
    #[serde(default, rename = "userId", deserialize_with = "user_id")]
    user_id: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    exp: Option<u64>,
    /// Refresh and pairing tokens say what they are; they open no socket.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// `userId` is a string or an integer.
fn user_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(i64),
    }
    Ok(match Option::<Either>::deserialize(deserializer)? {
        None => None,
        Some(Either::Text(text)) => Some(text),
        Some(Either::Number(number)) => Some(number.to_string()),
    })
}

/// Checks and signs tokens. The algorithm is fixed here, whatever a token's header says.
pub struct Verifier {
    keys: Vec<DecodingKey>,
    signing: EncodingKey,
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A longer token is refused unread.
    pub const MAX_TOKEN_BYTES: usize = 4096;
    /// Longest user id, in characters.
    const MAX_USER_CHARS: usize = 200;
    const ALGORITHM: Algorithm = Algorithm::HS256;

    /// The key ring of the settings: the first secret signs, all verify.
    pub fn new(auth: &Auth) -> Self {
        let mut validation = Validation::new(Self::ALGORITHM);
        validation.leeway = auth.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = auth.audience.is_some();
        let mut required = Vec::new();
        if auth.require_exp {
            required.push("exp");
        }
        if let Some(audience) = &auth.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &auth.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let secrets = auth.secrets.iter().map(String::as_bytes);
        Self {
            keys: secrets.map(DecodingKey::from_secret).collect(),
            signing: EncodingKey::from_secret(
                auth.secrets.first().map_or(&[], |secret| secret.as_bytes()),
            ),
            validation,
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
        }
    }

    /// Who the token says its bearer is.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Expired`] for one that ended, [`TokenFault::Bad`] for everything else.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenFault> {
        if token.is_empty() || token.len() > Self::MAX_TOKEN_BYTES {
            return Err(TokenFault::Bad);
        }
        let mut fault = TokenFault::Bad;
        for key in &self.keys {
            match decode::<Accepted>(token, key, &self.validation) {
                Ok(data) => return identity(data.claims).ok_or(TokenFault::Bad),
                Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                    fault = TokenFault::Expired;
                }
                Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Signs a token of ours for `sub` with `role` from `now` until `exp`, seconds since 1970.
    ///
    /// # Errors
    ///
    /// Only if the claims cannot be serialised.
    pub fn sign(
        &self,
        sub: &str,
        role: &str,
        now: u64,
        exp: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            sub: sub.to_owned(),
            role: role.to_owned(),
            iat: now,
            exp,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
        };
        encode(&Header::new(Self::ALGORITHM), &claims, &self.signing)
    }
}

fn identity(claims: Accepted) -> Option<Identity> {
    if claims.kind.is_some_and(|kind| kind != "access") {
        return None;
    }
    let user = claims.user_id.or(claims.sub)?;
    if !is_label(&user, Verifier::MAX_USER_CHARS) {
        return None;
    }
    let device = match claims.role.as_deref() {
        Some("mobile") => Some(Device::Mobile),
        Some("monitor") => Some(Device::Monitor),
        _ => None,
    };
    Some(Identity {
        user: user.into(),
        username: claims
            .username
            .filter(|name| is_label(name, Verifier::MAX_USER_CHARS))
            .map(Into::into),
        device,
        expires_at: claims.exp,
        admin: claims.role.as_deref() == Some("admin"),
    })
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Env, Settings};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    fn verifier(pairs: &[(&str, &str)]) -> Verifier {
        let env = Env::from_pairs(pairs.iter().copied());
        Verifier::new(&Settings::read(&env).unwrap().auth)
    }

    fn now() -> u64 {
        jsonwebtoken::get_current_timestamp()
    }

    fn signed(alg: Algorithm, secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(alg), claims, &key).unwrap()
    }

    fn hs256(claims: &Value) -> String {
        signed(Algorithm::HS256, "first-secret", claims)
    }

    #[test]
    fn user_ids_are_strings_integers_or_the_subject() {
        let v = verifier(&[("SOCKET_JWT_SECRET", "first-secret")]);
        let exp = now() + 60;
        for (claims, user) in [
            (json!({"sub": "u1", "exp": exp}), "u1"),
            (json!({"userId": 42, "exp": exp}), "42"),
            (json!({"userId": "x", "sub": "y", "exp": exp}), "x"),
        ] {
            assert_eq!(&*v.verify(&hs256(&claims)).unwrap().user, user);
        }
        for claims in [
            json!({"exp": exp}),
            json!({"sub": "", "exp": exp}),
            json!({"sub": "a\u{0}b", "exp": exp}),
            json!({"userId": {"$ne": 1}, "exp": exp}),
            json!({"sub": "u".repeat(500), "exp": exp}),
        ] {
            assert_eq!(v.verify(&hs256(&claims)), Err(TokenFault::Bad), "{claims}");
        }
    }

    #[test]
    fn every_secret_of_the_ring_verifies_and_the_first_signs() {
        let ring = verifier(&[("SOCKET_JWT_SECRET", "new-secret,first-secret")]);
        let old = hs256(&json!({"sub": "u", "exp": now() + 60}));
        assert!(ring.verify(&old).is_ok());

        let fresh = ring.sign("u", "mobile", now(), now() + 60).unwrap();
        let only_new = verifier(&[("SOCKET_JWT_SECRET", "new-secret")]);
        assert_eq!(
            only_new.verify(&fresh).unwrap().device,
            Some(Device::Mobile)
        );
        assert_eq!(only_new.verify(&old), Err(TokenFault::Bad));
    }

    #[test]
    fn the_algorithm_is_ours_to_choose() {
        let v = verifier(&[("SOCKET_JWT_SECRET", "first-secret")]);
        let claims = json!({"sub": "u", "exp": now() + 60});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let none = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims));

        assert_eq!(v.verify(&none), Err(TokenFault::Bad));
        for alg in [Algorithm::HS384, Algorithm::HS512] {
            let token = signed(alg, "first-secret", &claims);
            assert_eq!(v.verify(&token), Err(TokenFault::Bad), "{alg:?}");
        }
    }

    #[test]
    fn an_end_is_required_must_be_a_number_and_is_kept() {
        let v = verifier(&[("SOCKET_JWT_SECRET", "first-secret")]);
        assert_eq!(v.verify(&hs256(&json!({"sub": "u"}))), Err(TokenFault::Bad));
        let text = json!({"sub": "u", "exp": (now() + 60).to_string()});
        assert_eq!(v.verify(&hs256(&text)), Err(TokenFault::Bad));
        let ended = json!({"sub": "u", "exp": now() - 31});
        assert_eq!(v.verify(&hs256(&ended)), Err(TokenFault::Expired));
        let within_leeway = json!({"sub": "u", "exp": now() - 20});
        assert!(v.verify(&hs256(&within_leeway)).is_ok());
        let early = json!({"sub": "u", "exp": now() + 600, "nbf": now() + 300});
        assert_eq!(v.verify(&hs256(&early)), Err(TokenFault::Bad));

        let old_issuer = verifier(&[
            ("SOCKET_JWT_SECRET", "first-secret"),
            ("JWT_REQUIRE_EXP", "false"),
        ]);
        assert!(old_issuer.verify(&hs256(&json!({"sub": "u"}))).is_ok());
    }

    #[test]
    fn issuer_and_audience_are_checked_when_configured() {
        let v = verifier(&[
            ("SOCKET_JWT_SECRET", "first-secret"),
            ("JWT_ISSUER", "shop"),
            ("JWT_AUDIENCE", "relay"),
        ]);
        let token =
            |iss, aud| hs256(&json!({"sub": "u", "exp": now() + 60, "iss": iss, "aud": aud}));
        assert!(v.verify(&token("shop", "relay")).is_ok());
        assert_eq!(v.verify(&token("other", "relay")), Err(TokenFault::Bad));
        assert_eq!(v.verify(&token("shop", "other")), Err(TokenFault::Bad));
        let bare = hs256(&json!({"sub": "u", "exp": now() + 60}));
        assert_eq!(v.verify(&bare), Err(TokenFault::Bad));
    }

    #[test]
    fn other_kinds_of_token_and_huge_ones_open_nothing() {
        let v = verifier(&[("SOCKET_JWT_SECRET", "first-secret")]);
        let exp = now() + 60;
        for kind in ["refresh", "pairing"] {
            let token = hs256(&json!({"sub": "u", "exp": exp, "type": kind}));
            assert_eq!(v.verify(&token), Err(TokenFault::Bad));
        }
        let huge = hs256(&json!({"sub": "u", "exp": exp, "x": "y".repeat(5000)}));
        assert_eq!(v.verify(&huge), Err(TokenFault::Bad));
        assert_eq!(v.verify(""), Err(TokenFault::Bad));
        assert_eq!(v.verify("a.b.c"), Err(TokenFault::Bad));
    }
}
