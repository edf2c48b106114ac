//! Tokens: the key ring, what is checked, and who comes out of it (contract, section 2).

use super::{KeySet, Revoked};
use crate::{
    event::{Device, Identity, SessionId, is_label},
    settings::Auth,
};
use http::HeaderMap;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    errors::ErrorKind,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};

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

/// What a token of ours says. Issuer and audience are added by [`Verifier::sign`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct Claims<'a> {
    /// The user.
    pub sub: &'a str,
    /// The user again, as the original clients read it.
    #[serde(rename = "userId", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<&'a str>,
    /// Its e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    /// The device or application role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// The login that it descends from.
    #[serde(rename = "sid", skip_serializing_if = "Option::is_none")]
    pub login: Option<&'a str>,
    /// The only scan session that it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
    /// Issued at, seconds since 1970.
    pub iat: u64,
    /// Ends at, seconds since 1970.
    pub exp: u64,
}

impl Claims<'_> {
    /// Nobody's yet: from `now`, in seconds since 1970, for so long.
    pub fn lasting(now: u64, ttl: Duration) -> Self {
        Self {
            iat: now,
            exp: now.saturating_add(ttl.as_secs()),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
struct Signed<'a> {
    #[serde(flatten)]
    claims: &'a Claims<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// What we read out of one.
#[derive(Deserialize)]
struct Accepted {
    #[serde(default, rename = "userId")]
    user_id: Option<Either>,
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
    #[serde(default, rename = "sid")]
    login: Option<String>,
    #[serde(default)]
    session: Option<String>,
}

/// What a pairing token of ours says.
#[derive(Serialize)]
struct PairingSigned<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sid: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// What we read out of one.
#[derive(Deserialize)]
struct PairingSaid {
    #[serde(rename = "type")]
    kind: String,
    sid: String,
    jti: String,
}

/// An invitation into a scan session, as its token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationClaims {
    /// The session.
    pub session: String,
    /// Names the invitation.
    pub id: u128,
}

const PAIRING: &str = "pairing";

/// `userId` is a string or an integer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Text(String),
    Number(i64),
}

/// Checks and signs tokens. The algorithm is fixed here, whatever a token's header says.
pub struct Verifier {
    keys: Vec<DecodingKey>,
    signing: EncodingKey,
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
    others: Option<Arc<KeySet>>,
    revoked: Arc<Revoked>,
    canary: Box<str>,
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

    /// The key ring of the settings: the first secret signs, all verify; and the public keys of other
    /// issuers, if there are any.
    pub fn new(auth: &Auth, others: Option<Arc<KeySet>>, revoked: Arc<Revoked>) -> Self {
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
            others,
            revoked,
            canary: format!("canary-{:032x}", rand::random::<u128>()).into(),
        }
    }

    /// The user that this process's own canary is. Nobody else knows the name.
    pub fn canary(&self) -> &str {
        &self.canary
    }

    /// Reads the public keys again if the token names one that is not known: an issuer has changed keys.
    /// Call it before [`Verifier::verify`] wherever that may wait; a bearer whose token is refused takes
    /// that for being logged out.
    pub async fn learn(&self, token: &str) {
        let Some(others) = &self.others else { return };
        let kid = Self::foreign(token).and_then(|(_, kid)| kid);
        if kid.is_some_and(|kid| others.get(&kid).is_none()) {
            others.refresh().await;
        }
    }

    /// The algorithm and key id of a token that is not of the ring.
    fn foreign(token: &str) -> Option<(Algorithm, Option<String>)> {
        if token.len() > Self::MAX_TOKEN_BYTES {
            return None;
        }
        let header = decode_header(token).ok()?;
        (header.alg != Self::ALGORITHM).then_some((header.alg, header.kid))
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
        if let Some(others) = &self.others
            && let Some((claimed, kid)) = Self::foreign(token)
        {
            let key = kid.and_then(|kid| others.get(&kid));
            let (algorithm, key) = key
                .filter(|(algorithm, _)| *algorithm == claimed)
                .ok_or(TokenFault::Bad)?;
            let mut validation = self.validation.clone();
            validation.algorithms = vec![algorithm];
            return match decode::<Accepted>(token, &key, &validation) {
                Ok(data) => self.identity(data.claims).ok_or(TokenFault::Bad),
                Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                    Err(TokenFault::Expired)
                }
                Err(_) => Err(TokenFault::Bad),
            };
        }
        let mut fault = TokenFault::Bad;
        for key in &self.keys {
            match decode::<Accepted>(token, key, &self.validation) {
                Ok(data) => return self.identity(data.claims).ok_or(TokenFault::Bad),
                Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                    fault = TokenFault::Expired;
                }
                Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Whose access token of ours this is, whether its time is over or not.
    pub fn expired(&self, token: &str) -> Option<String> {
        let mut validation = self.validation.clone();
        validation.validate_exp = false;
        let read = |key| decode::<Accepted>(token, key, &validation).ok();
        let accepted = self.keys.iter().find_map(read)?;
        identity(accepted.claims).map(|who| who.user.into())
    }

    /// Signs an access token of ours.
    ///
    /// # Errors
    ///
    /// Only if the claims cannot be serialised.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<String, jsonwebtoken::errors::Error> {
        let signed = Signed {
            claims,
            kind: "access",
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        encode(&Header::new(Self::ALGORITHM), &signed, &self.signing)
    }

    /// Signs an invitation into a scan session; times in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Only if the claims cannot be serialised.
    pub fn sign_pairing(
        &self,
        session: &str,
        id: u128,
        iat: u64,
        exp: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = PairingSigned {
            kind: PAIRING,
            sid: session,
            jti: &format!("{id:032x}"),
            iat,
            exp,
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        encode(&Header::new(Self::ALGORITHM), &claims, &self.signing)
    }

    /// What an invitation of ours says.
    ///
    /// # Errors
    ///
    /// [`TokenFault`]: it is not one, or not any more.
    pub fn read_pairing(&self, token: &str) -> Result<InvitationClaims, TokenFault> {
        if token.len() > Self::MAX_TOKEN_BYTES {
            return Err(TokenFault::Bad);
        }
        let mut validation = self.validation.clone();
        validation.required_spec_claims.insert("exp".to_owned());
        // It is checked by the clock that it was made by.
        validation.leeway = 0;
        let read = |key| decode::<PairingSaid>(token, key, &validation).ok();
        let said = self.keys.iter().find_map(read).ok_or(TokenFault::Bad)?;
        let PairingSaid { kind, sid, jti } = said.claims;
        let id = u128::from_str_radix(&jti, 16).map_err(|_| TokenFault::Bad)?;
        if kind != PAIRING {
            return Err(TokenFault::Bad);
        }
        Ok(InvitationClaims { session: sid, id })
    }

    /// Whether the login of this identity was ended.
    pub fn revoked(&self, who: &Identity) -> bool {
        let login = who.login.as_ref();
        login.is_some_and(|login| self.revoked.contains(login))
    }

    fn identity(&self, claims: Accepted) -> Option<Identity> {
        let mut who = identity(claims).filter(|who| !self.revoked(who))?;
        who.canary = who.user == self.canary;
        Some(who)
    }
}

fn identity(claims: Accepted) -> Option<Identity> {
    if claims.kind.is_some_and(|kind| kind != "access") {
        return None;
    }
    let (user, integer_user) = match claims.user_id {
        Some(Either::Number(number)) => (number.to_string(), true),
        Some(Either::Text(text)) => (text, false),
        None => (claims.sub?, false),
    };
    if !is_label(&user, Verifier::MAX_USER_CHARS) {
        return None;
    }
    let device = match claims.role.as_deref() {
        Some("mobile") => Some(Device::Mobile),
        Some("monitor") => Some(Device::Monitor),
        _ => None,
    };
    let scope = match claims.session {
        Some(session) => Some(SessionId::parse(&session)?),
        None => None,
    };
    Some(Identity {
        user: user.into(),
        integer_user,
        username: claims
            .username
            .filter(|name| is_label(name, Verifier::MAX_USER_CHARS))
            .map(Into::into),
        device,
        expires_at: claims.exp,
        admin: claims.role.as_deref() == Some("admin"),
        guest: None,
        login: claims.login.map(Into::into),
        scope,
        canary: false,
        chat: None,
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
        let auth = Settings::read(&env).unwrap().auth;
        Verifier::new(&auth, None, Arc::default())
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

        let claims = Claims {
            sub: "u",
            role: Some("mobile"),
            ..Claims::lasting(now(), Duration::from_mins(1))
        };
        let fresh = ring.sign(&claims).unwrap();
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
