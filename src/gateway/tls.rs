//! TLS on the public port, by rustls: the certificate, and what becomes of who does not speak it.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use std::{net::SocketAddr, sync::Arc};
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
pub(super) const HANDSHAKE: u8 = 22;

/// Reads certificate and key.
///
/// # Errors
///
/// One line that names the setting.
pub fn certified(files: &crate::settings::Tls) -> Result<Arc<ServerConfig>, String> {
    let unreadable = |name: &str, example: &str, why: String| {
        format!("{name}: cannot be read ({why}); for example {name}={example}")
    };
    let no_cert = |why| unreadable("TLS_CERT", "/etc/signalbox/cert.pem", why);
    let no_key = |why| unreadable("TLS_KEY", "/etc/signalbox/key.pem", why);
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| no_cert(e.to_string()))?;
    if chain.is_empty() {
        return Err(no_cert("there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| no_key(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| no_cert(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| no_key(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether a connection comes from this machine: probes, the canary, `signalbox explain`.
pub(super) fn is_local(from: SocketAddr, to: Option<SocketAddr>) -> bool {
    from.ip().to_canonical().is_loopback() || to.is_some_and(|to| to.ip() == from.ip())
}

/// Sends a plain request to where TLS is spoken: the same address.
pub(super) fn redirect(request: &Request<Body>) -> Response<Body> {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let mut response = Response::new(Body::empty());
    let place = HeaderValue::try_from(format!("https://{host}{path}"));
    match (host, place) {
        ("", _) | (_, Err(_)) => *response.status_mut() = StatusCode::BAD_REQUEST,
        (_, Ok(place)) => {
            // 308 keeps the method (RFC 9110, section 15.4.9).
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(header::LOCATION, place);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let of = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let here = Some(of("192.168.1.5:3000"));
        for local in [
            "127.0.0.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "192.168.1.5:1",
        ] {
            assert!(is_local(of(local), here), "{local}");
        }
        assert!(!is_local(of("192.168.1.6:1"), here));
        assert!(!is_local(of("192.168.1.6:1"), None));
    }

    #[test]
    fn a_plain_request_is_sent_to_the_same_place_by_tls() {
        let ask = |host: Option<&str>| {
            let mut request = Request::get("/scan?sid=1&t=2");
            if let Some(host) = host {
                request = request.header(header::HOST, host);
            }
            redirect(&request.body(Body::empty()).unwrap())
        };
        let sent = ask(Some("box:3000"));
        assert_eq!(sent.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(
            sent.headers()[header::LOCATION],
            "https://box:3000/scan?sid=1&t=2"
        );
        assert_eq!(ask(None).status(), StatusCode::BAD_REQUEST);
    }
}
