//! The pages' settings.

use super::{Env, SettingError};
use http::Uri;

/// What the pages are told.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Where the page of an order is; `{orderNo}` stands for its number. Monitors open it.
    pub order_url: Option<String>,
    /// Where phones of the same network reach this server, if it knows (`--dev-tls`).
    pub origin: Option<String>,
}

/// Stands for the order number.
pub const ORDER_NO: &str = "{orderNo}";

impl Pages {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        let order_url = env.text("ORDER_URL_TEMPLATE");
        if let Some(fault) = order_url.and_then(fault) {
            return Err(SettingError::new(
                "ORDER_URL_TEMPLATE",
                fault,
                "https://wms.example.com/orders/{orderNo}",
            ));
        }
        Ok(Self {
            order_url: order_url.map(str::to_owned),
            origin: None,
        })
    }

    /// The site of the order pages, where that is another one.
    pub fn order_site(&self) -> Option<String> {
        let uri: Uri = self
            .order_url
            .as_ref()?
            .replace(ORDER_NO, "0")
            .parse()
            .ok()?;
        Some(format!("{}://{}", uri.scheme()?, uri.authority()?))
    }
}

fn fault(template: &str) -> Option<&'static str> {
    if !template.contains(ORDER_NO) {
        return Some("has no {orderNo}, which stands for the number of the order");
    }
    // Of the address itself nothing may depend on what was scanned.
    let (before, _) = template.split_once(ORDER_NO)?;
    let here = before.starts_with('/') && !before.starts_with("//");
    let site = ["https://", "http://"]
        .iter()
        .find_map(|scheme| before.strip_prefix(scheme));
    let whole = site.is_some_and(|rest| rest.find('/').is_some_and(|at| at > 0));
    let parsed = template.replace(ORDER_NO, "0").parse::<Uri>();
    if (here || whole) && parsed.is_ok_and(|uri| !has_user(&uri)) {
        None
    } else {
        Some("is neither an http address nor a path, with {orderNo} behind the name of the site")
    }
}

fn has_user(uri: &Uri) -> bool {
    uri.authority().is_some_and(|a| a.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str) -> Result<Pages, SettingError> {
        Pages::read(&Env::from_pairs([("ORDER_URL_TEMPLATE", template)]))
    }

    #[test]
    fn a_template_is_an_address_with_the_order_behind_its_site() {
        let site = |template| read(template).unwrap().order_site();
        assert_eq!(site("/orders/{orderNo}"), None);
        let wms = Some("https://wms.example.com:8443".to_owned());
        assert_eq!(site("https://wms.example.com:8443/o?no={orderNo}"), wms);
        for bad in [
            "https://wms.example.com/orders",
            "https://{orderNo}.example.com/",
            "https://user@example.com/{orderNo}",
            "javascript:{orderNo}",
            "//example.com/{orderNo}",
            "orders/{orderNo}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
