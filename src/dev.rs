//! What makes a development server easy to try: a secret that survives its restarts, and TLS with a
//! certificate of its own, so that a phone beside it may use its camera.

use crate::settings::{Settings, Tls};
use qrcode::{QrCode, render::unicode::Dense1x2};
use rcgen::{CertificateParams, DnType, KeyPair};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const SECRET: &str = "dev-secret";
const CERTIFICATE: &str = "dev-tls-cert.pem";
const KEY: &str = "dev-tls-key.pem";

/// Puts the secret of the last run in the place of the one that was made up for this one, if there is one.
/// True if there is.
pub fn recall_secret(settings: &mut Settings) -> bool {
    let kept = fs::read_to_string(settings.store.data_dir.join(SECRET)).unwrap_or_default();
    let made_up = settings.auth.secrets.first_mut();
    // As long as those that are made up: anything else was not written here.
    match made_up.filter(|new| settings.auth.generated && new.len() == kept.len()) {
        Some(secret) => {
            *secret = kept;
            true
        }
        None => false,
    }
}

/// Keeps the secret that was made up, for the next run.
///
/// # Errors
///
/// When the file cannot be written: then the secret is good for this run alone.
pub fn keep_secret(settings: &Settings) -> io::Result<()> {
    let secret = settings.auth.secrets.first().map_or("", String::as_str);
    private(&settings.store.data_dir, SECRET)?.write_all(secret.as_bytes())
}

/// A file that is for its owner's eyes alone.
fn private(directory: &Path, name: &str) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    let path = directory.join(name);
    // An old one may have been readable by others.
    let _ = fs::remove_file(&path);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Has the server speak TLS with a certificate that it signs itself, and tells the pages where phones reach it.
/// The certificate is kept, so that a phone is asked once whether it trusts it.
///
/// # Errors
///
/// One line: in production, beside a certificate that was set, or when the files cannot be written.
pub fn secure(settings: &mut Settings) -> Result<(), String> {
    let server = &settings.server;
    if server.production() {
        return Err("--dev-tls: is for development; in production set TLS_CERT and TLS_KEY, for example TLS_CERT=/etc/signalbox/cert.pem".to_owned());
    }
    if server.tls.is_some() {
        return Err(
            "--dev-tls: makes a certificate of its own, so leave TLS_CERT and TLS_KEY out"
                .to_owned(),
        );
    }
    let directory = &settings.store.data_dir;
    let files = Tls {
        cert: directory.join(CERTIFICATE),
        key: directory.join(KEY),
    };
    let address = lan_address(settings.server.listen);
    let names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        address.to_string(),
    ];
    if !is_for(&files, &names) {
        sign(directory, &files, names).map_err(|why| {
            format!("--dev-tls: its certificate cannot be written to {} ({why}); for example DATA_DIR=/tmp/signalbox", directory.display())
        })?;
    }
    settings.server.tls = Some(files);
    // A port that is not known yet cannot be told.
    let port = Some(settings.server.listen.port()).filter(|port| *port != 0);
    settings.pages.origin = port.map(|port| format!("https://{}", SocketAddr::new(address, port)));
    Ok(())
}

/// Names stand in the file behind the certificate, where PEM leaves room for words.
fn is_for(files: &Tls, names: &[String]) -> bool {
    let kept = fs::read_to_string(&files.cert).unwrap_or_default();
    files.key.exists() && kept.ends_with(&said(names))
}

fn said(names: &[String]) -> String {
    format!("For {}.\n", names.join(", "))
}

fn sign(directory: &Path, files: &Tls, names: Vec<String>) -> Result<(), String> {
    let said = said(&names);
    let mut params = CertificateParams::new(names).map_err(|e| e.to_string())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Signalbox, development");
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let certificate = params.self_signed(&key).map_err(|e| e.to_string())?;
    let write = || {
        private(directory, KEY)?.write_all(key.serialize_pem().as_bytes())?;
        fs::write(&files.cert, certificate.pem() + &said)
    };
    write().map_err(|e: io::Error| e.to_string())
}

/// By which address others of the same network reach this machine: the one it would send from. Nothing is sent.
fn lan_address(listen: SocketAddr) -> IpAddr {
    if !listen.ip().is_unspecified() {
        return listen.ip();
    }
    // An address of nobody (RFC 5737).
    let towards = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket
            .connect(("192.0.2.1", 9))
            .and_then(|()| socket.local_addr())
    });
    towards.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

/// A QR code for a terminal.
pub fn qr_code(text: &str) -> String {
    QrCode::new(text).map_or_else(
        |_| String::new(),
        // Terminals are dark, and a code that is light on dark is one that many readers do not see.
        |code| {
            code.render::<Dense1x2>()
                .dark_color(Dense1x2::Light)
                .light_color(Dense1x2::Dark)
                .build()
        },
    )
}
