//! `signalbox explain CODE`: one flow in a terminal, asked of a running server.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::{fmt::Write, time::Duration};

/// A server that does not answer is not waited for longer.
const LIMIT: Duration = Duration::from_secs(10);
/// A bar of this many characters is the whole flow.
const WIDTH: f64 = 40.0;

#[derive(Deserialize)]
struct Answer {
    node: String,
    links: Links,
    flows: Vec<Flow>,
}

#[derive(Deserialize)]
struct Links {
    trace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flow {
    flow: String,
    trace_id: String,
    at: f64,
    event: String,
    outcome: String,
    result: Option<String>,
    code: Option<String>,
    error_id: Option<String>,
    role: String,
    transport: String,
    total_ms: f64,
    kept: String,
    seq: Option<u64>,
    monitors: Option<u64>,
    hops: Vec<Hop>,
    slow_hop: Option<String>,
    median_total_ms: Option<f64>,
    compared_with: u64,
    logs: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hop {
    name: String,
    start_ms: f64,
    ms: f64,
    median_ms: Option<f64>,
    slow: bool,
}

#[derive(Deserialize)]
struct Refused {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    message: String,
}

/// Asks the server at `url` for the flow with this code, trace id or error id, and says what happened.
///
/// # Errors
///
/// One line: the server is not there, wants another token, or does not keep the flow.
pub fn explain(id: &str, url: &str, token: Option<&str>) -> Result<String, String> {
    let place = format!("{}/api/flows/{}", url.trim_end_matches('/'), escaped(id));
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .http_status_as_error(false)
        .build();
    let mut request = ureq::Agent::from(config).get(&place);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut response = request
        .call()
        .map_err(|e| format!("{url} does not answer ({e}); name the server with --url"))?;
    let status = response.status();
    let body = response
        .body_mut()
        .read_to_string()
        .map_err(|e| format!("{url} broke off ({e})"))?;
    if status.is_success() {
        let answer: Answer =
            serde_json::from_str(&body).map_err(|_| format!("{url} is no Signalbox"))?;
        return Ok(answer.told());
    }
    match serde_json::from_str::<Refused>(&body) {
        Ok(Refused { error }) if error.code == "AUTH_ERROR" => Err(format!(
            "{url} wants an admin token: --token, or SOCKET_JWT_SECRET of that server in the environment"
        )),
        Ok(Refused { error }) => Err(format!("{id}: {}", error.message)),
        Err(_) => Err(format!("{url} answered {status}")),
    }
}

/// Anything may be typed; in a path it is itself only.
fn escaped(id: &str) -> String {
    let mut path = String::new();
    for byte in id.trim().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

impl Answer {
    fn told(&self) -> String {
        let mut out = String::new();
        let first = self.flows.first().map_or(0.0, |flow| flow.at);
        for flow in &self.flows {
            if !out.is_empty() {
                out.push('\n');
            }
            // Writing to a string does not fail.
            let _ = flow.tell(&self.node, first, &mut out);
            if let Some(trace) = &self.links.trace {
                let _ = writeln!(
                    out,
                    "trace   {}",
                    trace.replace("{traceId}", &flow.trace_id)
                );
            }
        }
        out
    }
}

impl Flow {
    /// `first` is when the first flow of the same trace arrived.
    fn tell(&self, node: &str, first: f64, out: &mut String) -> std::fmt::Result {
        let Self {
            flow,
            event,
            outcome,
            role,
            transport,
            ..
        } = self;
        let ended = self.result.as_ref().unwrap_or(outcome);
        writeln!(
            out,
            "{flow}   {event} of a {role} over {transport}: {ended} after {}",
            time(self.total_ms)
        )?;
        let after = self.at - first;
        let after = if after > 0.0 {
            format!(", {} after the first", time(after))
        } else {
            String::new()
        };
        writeln!(
            out,
            "at      {}{after}, on {node}, kept because it is {}",
            when(self.at),
            self.kept
        )?;
        writeln!(out, "trace   {}", self.trace_id)?;
        if let Some(code) = &self.code {
            write!(out, "code    {code}")?;
            if let Some(id) = &self.error_id {
                write!(out, ", error id {id}")?;
            }
            writeln!(out)?;
        }
        match self.monitors {
            Some(0) => writeln!(
                out,
                "scan    nobody was there to see it: no monitor in the session"
            )?,
            Some(n) => writeln!(
                out,
                "scan    number {} of its session, sent to {n} monitor(s)",
                self.seq.unwrap_or(0)
            )?,
            None => {}
        }
        writeln!(out)?;
        for hop in &self.hops {
            hop.tell(self.total_ms, out)?;
        }
        writeln!(out)?;
        let usual = self.median_total_ms.map_or_else(
            || "nothing to compare with yet".to_owned(),
            |median| {
                format!(
                    "usually {} in all ({} flows)",
                    time(median),
                    self.compared_with
                )
            },
        );
        match &self.slow_hop {
            Some(hop) => writeln!(out, "Slow hop: {hop}; {usual}.")?,
            None => writeln!(out, "No hop was slow; {usual}.")?,
        }
        // Flows of one trace have their log lines in common, under the first.
        if self.logs.is_empty() && after.is_empty() {
            writeln!(out, "No log line of it is to be found.")?;
        }
        for line in &self.logs {
            // As it was written: what could colour a terminal is escaped there.
            writeln!(out, "{}", line.get())?;
        }
        Ok(())
    }
}

impl Hop {
    fn tell(&self, total: f64, out: &mut String) -> std::fmt::Result {
        let share = |ms: f64| if total > 0.0 { ms / total * WIDTH } else { 0.0 };
        let before = columns(share(self.start_ms));
        let bar = columns(share(self.ms)).max(1);
        let median = self
            .median_ms
            .map_or_else(String::new, |m| format!("usually {}", time(m)));
        let mark = if self.slow { "◀ slow  " } else { "" };
        let picture = format!("{}{}", " ".repeat(before), "█".repeat(bar));
        writeln!(
            out,
            "{:8}{:41} {:>10}  {mark}{median}",
            self.name,
            picture,
            time(self.ms)
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 40, and the cast saturates"
)]
fn columns(share: f64) -> usize {
    share.clamp(0.0, WIDTH) as usize
}

fn time(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms >= 1.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.0} µs", ms * 1000.0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ms since 1970, and the cast saturates"
)]
fn when(ms: f64) -> String {
    let at = crate::event::utc(ms as u64);
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}
