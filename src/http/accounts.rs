//! Accounts over HTTP: register, login, refresh, logout, who am I (contract, section 8).

use super::{
    ApiError, Http,
    error::{AccountErrors, SignedInErrors},
    extract::{Address, Bearer, Body},
    timestamp::timestamp,
};
use crate::{accounts::LoggedIn, clock, guard::bearer, store::StoredUser};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

// The patterns say what `accounts::credentials` checks. White space and control characters are spelt out,
// because `\s` is not the same set in every language that a client may check a pattern in.

/// A new account.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "username": "kim", "email": "kim@example.com", "password": "correct horse battery" }))]
pub(super) struct Registration {
    /// The name that others see: 2 to 50 characters of any script, no control characters. White space around
    /// it is taken away and does not count.
    #[schema(
        min_length = 2,
        pattern = "^[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000][^\\u0000-\\u001f\\u007f-\\u009f]{0,48}[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000][\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*$"
    )]
    username: String,
    /// `name@domain`, the name of at most 64 characters. White space around it is taken away, and it is kept
    /// in lower case.
    #[schema(
        min_length = 3,
        max_length = 254,
        pattern = "^[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*[^@\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]{1,64}@[^.@\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]([^@\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*[^.@\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000])?[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*$"
    )]
    email: String,
    /// 8 to 128 characters.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    password: String,
}

/// E-mail and password.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "email": "kim@example.com", "password": "correct horse battery" }))]
pub(super) struct Credentials {
    /// As registered; capital letters and white space around it do not matter.
    email: String,
    /// As registered.
    #[schema(format = Password)]
    password: String,
}

/// What keeps a login going.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshToken {
    /// The one of the last pair.
    refresh_token: String,
}

/// Which login to end: that of the refresh token, or of the access token in the header.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WhichLogin {
    /// Goes before the access token.
    #[serde(default)]
    refresh_token: Option<String>,
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    id: i64,
    username: String,
    email: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// The latest login; missing before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    last_login: Option<String>,
}

impl From<StoredUser> for Account {
    fn from(user: StoredUser) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            created_at: timestamp(user.created_at),
            last_login: user.last_login.map(timestamp),
        }
    }
}

/// A login.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    /// The same as `accessToken`, for clients that look for it here.
    token: String,
    /// Opens sockets and `/api`: `Authorization: Bearer …`, or `auth.token` of the handshake.
    access_token: String,
    /// Good once, for the next pair.
    refresh_token: String,
    /// How long the access token is good for, in seconds.
    expires_in: u64,
    user: Account,
}

impl From<LoggedIn> for Login {
    fn from(login: LoggedIn) -> Self {
        Self {
            token: login.access_token.clone(),
            access_token: login.access_token,
            refresh_token: login.refresh_token,
            expires_in: login.expires_in.as_secs(),
            user: login.user.into(),
        }
    }
}

/// Who wants to try the server out.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "name": "k3j9x2m4p8" }))]
pub(super) struct Visitor {
    /// Made up by the client, who keeps it: 8 to 32 lower-case letters and digits.
    #[schema(min_length = 8, max_length = 32, pattern = "^[a-z0-9]{8,32}$")]
    name: String,
}

/// What a visitor gets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Visit {
    /// The same as `accessToken`.
    token: String,
    /// Opens sockets and `/api`.
    access_token: String,
    /// How long it is good for, in seconds.
    expires_in: u64,
    user: VisitingUser,
}

/// A user without an account.
#[derive(Serialize, ToSchema)]
struct VisitingUser {
    /// `demo-` and the name.
    id: String,
    username: String,
}

/// It was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    success: bool,
}

/// Creates an account and logs it in.
#[utoipa::path(post, path = "/api/auth/register", tag = "accounts", request_body = Registration,
    responses((status = 201, body = Login, description = "The account is there and logged in"), AccountErrors, (status = 409, body = super::error::ErrorBody, description = "CONFLICT: these details cannot be used")))]
pub(super) async fn register(
    State(http): State<Arc<Http>>,
    Address(from): Address,
    Body(new): Body<Registration>,
) -> Result<(StatusCode, Json<Login>), ApiError> {
    let new = (&*new.username, &*new.email, new.password);
    let login = http
        .families
        .accounts
        .register(new, from, clock::now())
        .await;
    let login = login.map_err(|e| ApiError::account(&http, e))?;
    Ok((StatusCode::CREATED, Json(login.into())))
}

/// Logs in.
#[utoipa::path(post, path = "/api/auth/login", tag = "accounts", request_body = Credentials,
    responses((status = 200, body = Login, description = "Logged in", links(
        ("refresh" = (operation_id = "refresh", request_body = json!({ "refreshToken": "$response.body#/refreshToken" }), description = "The next pair")),
        ("logout" = (operation_id = "logout", request_body = json!({ "refreshToken": "$response.body#/refreshToken" }), description = "The end")),
    )), AccountErrors, (status = 401, body = super::error::ErrorBody, description = "AUTH_ERROR: e-mail or password is wrong")))]
pub(super) async fn login(
    State(http): State<Arc<Http>>,
    Address(from): Address,
    Body(given): Body<Credentials>,
) -> Result<Json<Login>, ApiError> {
    let given = (&*given.email, given.password);
    let login = http
        .families
        .accounts
        .login(given, from, clock::now())
        .await;
    Ok(Json(login.map_err(|e| ApiError::account(&http, e))?.into()))
}

/// Gives a new pair of tokens for a refresh token, which is used up. Shown twice, it ends its login.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "accounts", request_body = RefreshToken,
    responses((status = 200, body = Login, description = "The next pair"), AccountErrors, (status = 401, body = super::error::ErrorBody, description = "AUTH_ERROR: the refresh token is not valid")))]
pub(super) async fn refresh(
    State(http): State<Arc<Http>>,
    Body(given): Body<RefreshToken>,
) -> Result<Json<Login>, ApiError> {
    let login = http
        .families
        .accounts
        .refresh(&given.refresh_token, clock::now())
        .await;
    Ok(Json(login.map_err(|e| ApiError::account(&http, e))?.into()))
}

/// Ends a login: its tokens open nothing any more, its sockets are closed within seconds.
#[utoipa::path(post, path = "/api/auth/logout", tag = "accounts", request_body = Option<WhichLogin>, security((), ("bearer" = [])),
    responses((status = 200, body = Done, description = "The login has ended, or had ended before"), AccountErrors, (status = 401, body = super::error::ErrorBody, description = "AUTH_ERROR: neither token is one of ours")))]
pub(super) async fn logout(
    State(http): State<Arc<Http>>,
    headers: HeaderMap,
    body: Option<Body<WhichLogin>>,
) -> Result<Json<Done>, ApiError> {
    let WhichLogin { refresh_token } = body.map(|Body(which)| which).unwrap_or_default();
    let who = bearer(&headers).and_then(|token| http.verifier.verify(token).ok());
    let ended = http
        .families
        .accounts
        .logout(who.as_ref(), refresh_token.as_deref(), clock::now());
    ended.await.map_err(|e| ApiError::account(&http, e))?;
    Ok(Json(Done { success: true }))
}

/// The account of the access token.
#[utoipa::path(get, path = "/api/auth/me", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = Account, description = "The account"), SignedInErrors, (status = 404, body = super::error::ErrorBody, description = "NOT_FOUND: the token's user has no account here")))]
pub(super) async fn me(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
) -> Result<Json<Account>, ApiError> {
    let user = http.families.accounts.me(&who).await;
    Ok(Json(user.map_err(|e| ApiError::account(&http, e))?.into()))
}

/// Lets somebody in without an account, to try the server out. A server in production does not have this.
#[utoipa::path(post, path = "/api/auth/demo", tag = "accounts", request_body = Visitor,
    responses((status = 200, body = Visit, description = "A token"), AccountErrors))]
pub(super) async fn demo(
    State(http): State<Arc<Http>>,
    Body(visitor): Body<Visitor>,
) -> Result<Json<Visit>, ApiError> {
    let visit = http.families.accounts.demo(&visitor.name, clock::now());
    let visit = visit.map_err(|e| ApiError::account(&http, e))?;
    Ok(Json(Visit {
        token: visit.token.clone(),
        access_token: visit.token,
        expires_in: visit.expires_in.as_secs(),
        user: VisitingUser {
            username: visit.user.clone(),
            id: visit.user,
        },
    }))
}
