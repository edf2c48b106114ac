//! Blocked addresses, for operators (contract, section 6).

use super::{
    ApiError, Http,
    error::{ErrorBody, LimitErrors},
    extract::invalid,
    schema::Ip,
};
use crate::{
    event::{Code, Text},
    guard,
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use std::{net::IpAddr, sync::Arc, time::Instant};
use utoipa::ToSchema;

/// A blocked address.
#[derive(Serialize, ToSchema)]
struct Block {
    #[schema(value_type = String, example = "203.0.113.7")]
    address: IpAddr,
    /// `strikes`: too many forged tokens, wrong names or applications. `refreshes`: it asked for too many access tokens.
    #[schema(example = "strikes")]
    reason: &'static str,
    /// In ms since 1970.
    since: u64,
    /// In ms since 1970; then it ends by itself.
    until: u64,
}

impl From<guard::Block> for Block {
    fn from(block: guard::Block) -> Self {
        Self {
            address: block.address,
            reason: block.reason.as_str(),
            since: block.since,
            until: block.until,
        }
    }
}

/// All blocked addresses.
#[derive(Serialize, ToSchema)]
pub(super) struct Blocks {
    /// The one that ends first before the others.
    blocks: Vec<Block>,
}

/// Done.
#[derive(Serialize, ToSchema)]
pub(super) struct Lifted {
    success: bool,
    #[schema(value_type = String, example = "203.0.113.7")]
    address: IpAddr,
}

/// The addresses that are blocked now.
#[utoipa::path(get, path = "/api/admin/blocks", tag = "operations", security((), ("operator" = []), ("bearer" = [])),
    responses((status = 200, body = Blocks, description = "What is blocked"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: an admin token is needed"), LimitErrors))]
pub(super) async fn blocks(State(http): State<Arc<Http>>) -> Json<Blocks> {
    let blocks = http.blocks.list(Instant::now());
    let blocks = blocks.into_iter().map(Block::from).collect();
    Json(Blocks { blocks })
}

/// Ends a block before its time, and forgets what led to it.
#[utoipa::path(delete, path = "/api/admin/blocks/{address}", tag = "operations", security((), ("operator" = []), ("bearer" = [])),
    params(("address" = inline(Ip), Path, description = "As it is listed", example = "203.0.113.7")),
    responses((status = 200, body = Lifted, description = "It is not blocked any more"),
        (status = 400, body = ErrorBody, description = "VALIDATION_ERROR: that is no address"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: an admin token is needed"),
        (status = 404, body = ErrorBody, description = "NOT_FOUND: it is not blocked"), LimitErrors))]
pub(super) async fn lift(
    State(http): State<Arc<Http>>,
    Path(address): Path<String>,
) -> Result<Json<Lifted>, ApiError> {
    let address: IpAddr = address
        .parse()
        .map_err(|_| invalid(&http, "that is no address".to_owned()))?;
    if !http.blocks.lift(&address, Instant::now()) {
        return Err(ApiError::new(&http, Code::NotFound, Text::NotBlocked));
    }
    tracing::info!(target: "signalbox::blocks", client_address = %address, "A block was lifted.");
    Ok(Json(Lifted {
        success: true,
        address,
    }))
}
