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

/// Whether a client's address may be blocked: neither this machine nor a trusted proxy that named no client,
/// behind which everybody else is.
pub fn may_be_blocked(address: IpAddr, peer: IpAddr, hops: usize) -> bool {
    !address.is_loopback() && (hops == 0 || address != peer.to_canonical())
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
    fn neither_this_machine_nor_a_proxy_can_be_blocked() {
        let may = |address: &str, peer: &str, hops| {
            may_be_blocked(address.parse().unwrap(), peer.parse().unwrap(), hops)
        };
        assert!(may("203.0.113.7", "203.0.113.7", 0));
        assert!(may("203.0.113.7", "10.0.0.9", 1));
        assert!(!may("10.0.0.9", "10.0.0.9", 1), "the proxy itself");
        assert!(!may("10.0.0.9", "::ffff:10.0.0.9", 1));
        assert!(!may("127.0.0.1", "127.0.0.1", 0));
        assert!(!may("::1", "10.0.0.9", 1));
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
