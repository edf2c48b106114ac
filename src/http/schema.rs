//! What the library cannot describe by itself: ids in two forms, addresses.

use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat, Type},
};

/// An id as clients write it. The library describes the forms of an enum without their limits.
pub(super) struct Id;

/// A user's id.
pub(super) struct UserRef;

/// An IPv4 or IPv6 address.
pub(super) struct Ip;

fn id(most: usize) -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(most))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"));
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(9_007_199_254_740_991_i64));
    let either = OneOfBuilder::new().item(text).item(number);
    let said = "A text or a number; it goes back as it was written.";
    either.description(Some(said)).into()
}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        id(64)
    }
}

impl ToSchema for Id {
    fn name() -> Cow<'static, str> {
        "Id".into()
    }
}

impl PartialSchema for UserRef {
    fn schema() -> RefOr<Schema> {
        id(200)
    }
}

impl ToSchema for UserRef {
    fn name() -> Cow<'static, str> {
        "UserRef".into()
    }
}

impl PartialSchema for Ip {
    fn schema() -> RefOr<Schema> {
        let form = |format: &str| {
            let format = SchemaFormat::Custom(format.to_owned());
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(format))
        };
        let either = OneOfBuilder::new().item(form("ipv4")).item(form("ipv6"));
        either.description(Some("An IPv4 or IPv6 address.")).into()
    }
}

impl ToSchema for Ip {
    fn name() -> Cow<'static, str> {
        "Ip".into()
    }
}
