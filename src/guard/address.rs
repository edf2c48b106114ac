//! The client's address: the connection's, or what exactly the trusted proxies say.

use http::HeaderMap;
use std::net::IpAddr;

/// The address of the client behind `hops` trusted proxies, each of which appends the address that it
/// saw to `X-Forwarded-For`. With fewer entries than proxies, somebody is lying or the setting is
/// wrong: the connection's own address counts.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
    if hops == 0 {
        return peer.to_canonical();
    }
    let entries: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    let entry = entries.len().checked_sub(hops).and_then(|i| entries.get(i));
    let parsed = entry.and_then(|text| {
        let bare = text.trim_start_matches('[');
        let bare = bare.split(']').next().unwrap_or(bare);
        bare.parse()
            .or_else(|_| text.parse::<std::net::SocketAddr>().map(|a| a.ip()))
            .ok()
    });
    parsed.unwrap_or(peer).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(hops: usize, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        client_address("10.0.0.9".parse().unwrap(), &headers, hops).to_string()
    }

    #[test]
    fn without_trusted_proxies_the_header_is_ignored() {
        assert_eq!(seen(0, &["1.2.3.4"]), "10.0.0.9");
    }

    #[test]
    fn exactly_the_trusted_hops_are_believed() {
        // The client wrote 6.6.6.6 itself; the one trusted proxy appended what it saw.
        assert_eq!(seen(1, &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(seen(2, &["6.6.6.6, 1.2.3.4", "5.5.5.5"]), "1.2.3.4");
        assert_eq!(seen(3, &["1.2.3.4"]), "10.0.0.9");
        assert_eq!(seen(1, &["nonsense"]), "10.0.0.9");
        assert_eq!(seen(1, &["1.2.3.4:5678"]), "1.2.3.4");
        assert_eq!(seen(1, &["[2001:db8::1]:443"]), "2001:db8::1");
    }
}
