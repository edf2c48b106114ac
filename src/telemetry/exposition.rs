//! `/metrics` as text 0.0.4, or as `OpenMetrics` 1.0 with trace-id exemplars when the scraper asks for it.
//!
//! The prometheus crate knows neither `OpenMetrics` nor exemplars, so the encoder is here: it writes the
//! gathered families, and next to a bucket the last trace that fell into it.

use super::Metrics;
use crate::event::TraceId;
use parking_lot::Mutex;
use prometheus::{
    Encoder, TextEncoder,
    proto::{LabelPair, Metric, MetricFamily, MetricType},
};
use std::{fmt::Write, sync::Arc, time::SystemTime};

/// Content type of the plain form.
pub const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Content type of `OpenMetrics`.
pub const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, Copy)]
struct Exemplar {
    value: f64,
    trace: TraceId,
    unix_seconds: f64,
}

/// The last trace of each bucket of one histogram.
#[derive(Debug, Clone)]
pub(super) struct ExemplarStore {
    name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    bounds: &'static [f64],
    buckets: Arc<[Mutex<Option<Exemplar>>]>,
}

impl ExemplarStore {
    pub(super) fn new(
        name: &'static str,
        labels: &'static [(&'static str, &'static str)],
        bounds: &'static [f64],
    ) -> Self {
        Self {
            name,
            labels,
            bounds,
            buckets: (0..=bounds.len()).map(|_| Mutex::new(None)).collect(),
        }
    }

    pub(super) fn record(&self, value: f64, trace: TraceId) {
        let place = self.bounds.iter().take_while(|b| value > **b).count();
        if let Some(bucket) = self.buckets.get(place) {
            *bucket.lock() = Some(Exemplar {
                value,
                trace,
                unix_seconds: SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .map_or(0.0, |d| d.as_secs_f64()),
            });
        }
    }

    fn of(&self, family: &str, labels: &[LabelPair], bucket: usize) -> Option<Exemplar> {
        let same = self.name == family
            && self.labels.len() == labels.len()
            && self
                .labels
                .iter()
                .all(|(k, v)| labels.iter().any(|l| l.name() == *k && l.value() == *v));
        if !same {
            return None;
        }
        *self.buckets.get(bucket)?.lock()
    }
}

/// One scrape, in the form that the scraper asked for.
#[derive(Debug)]
pub struct Exposition {
    /// For the `Content-Type` header.
    pub content_type: &'static str,
    /// The metrics.
    pub body: String,
}

impl Exposition {
    /// Collects everything. `accept` is the scraper's `Accept` header.
    pub fn scrape(metrics: &Metrics, accept: Option<&str>) -> Self {
        let families = metrics.gather();
        if accept.is_some_and(|a| a.contains("application/openmetrics-text")) {
            return Self {
                content_type: OPENMETRICS_TYPE,
                body: openmetrics(&families, metrics.exemplars()),
            };
        }
        let mut body = Vec::with_capacity(64 * 1024);
        // Writing to memory does not fail, and every family has metrics.
        let _ = TextEncoder::new().encode(&families, &mut body);
        Self {
            content_type: TEXT_TYPE,
            body: String::from_utf8(body).unwrap_or_default(),
        }
    }
}

fn openmetrics(families: &[MetricFamily], exemplars: &[ExemplarStore]) -> String {
    let mut out = String::with_capacity(96 * 1024);
    for family in families {
        let kind = family.get_field_type();
        let full = family.name();
        let (name, word) = match kind {
            MetricType::COUNTER => (full.strip_suffix("_total").unwrap_or(full), "counter"),
            MetricType::GAUGE => (full, "gauge"),
            MetricType::HISTOGRAM => (full, "histogram"),
            _ => continue,
        };
        let _ = writeln!(out, "# TYPE {name} {word}");
        let _ = writeln!(out, "# HELP {name} {}", escaped(family.help()));
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match kind {
                MetricType::COUNTER => {
                    line(&mut out, name, "_total", labels, None);
                    let _ = writeln!(out, "{}", metric.get_counter().get_value());
                }
                MetricType::GAUGE => {
                    line(&mut out, name, "", labels, None);
                    let _ = writeln!(out, "{}", metric.get_gauge().get_value());
                }
                _ => histogram(&mut out, name, metric, exemplars),
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn histogram(out: &mut String, name: &str, metric: &Metric, exemplars: &[ExemplarStore]) {
    let histogram = metric.get_histogram();
    let labels = metric.get_label();
    let bounds = histogram
        .get_bucket()
        .iter()
        .filter(|b| b.upper_bound().is_finite());
    let counts = bounds.map(|b| (canonical(b.upper_bound()), b.cumulative_count()));
    let last = ("+Inf".to_owned(), histogram.get_sample_count());
    for (place, (bound, count)) in counts.chain([last]).enumerate() {
        line(out, name, "_bucket", labels, Some(&bound));
        let _ = write!(out, "{count}");
        if let Some(e) = exemplars.iter().find_map(|s| s.of(name, labels, place)) {
            let Exemplar {
                value,
                trace,
                unix_seconds,
            } = e;
            let _ = write!(out, " # {{trace_id=\"{trace}\"}} {value} {unix_seconds:.3}");
        }
        out.push('\n');
    }
    line(out, name, "_sum", labels, None);
    let _ = writeln!(out, "{}", histogram.get_sample_sum());
    line(out, name, "_count", labels, None);
    let _ = writeln!(out, "{}", histogram.get_sample_count());
}

/// `name_suffix{labels} `, ready for the value.
fn line(out: &mut String, name: &str, suffix: &str, labels: &[LabelPair], le: Option<&str>) {
    let _ = write!(out, "{name}{suffix}");
    let mut open = false;
    let pairs = labels.iter().map(|l| (l.name(), l.value()));
    for (key, value) in pairs.chain(le.map(|bound| ("le", bound))) {
        let _ = write!(
            out,
            "{}{key}=\"{}\"",
            if open { "," } else { "{" },
            escaped(value)
        );
        open = true;
    }
    out.push_str(if open { "} " } else { " " });
}

/// `OpenMetrics` wants bucket bounds as floats: `1.0`, not `1`.
fn canonical(bound: f64) -> String {
    let text = bound.to_string();
    if text.contains(['.', 'e']) {
        text
    } else {
        text + ".0"
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn openmetrics_has_exemplars_where_the_trace_fell_and_ends_properly() {
        let metrics = Metrics::new();
        let trace = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        metrics
            .scan_to_navigate
            .observe(Duration::from_micros(700), Some(trace));

        let scrape =
            Exposition::scrape(&metrics, Some("application/openmetrics-text;version=1.0.0"));

        assert_eq!(scrape.content_type, OPENMETRICS_TYPE);
        assert!(scrape.body.ends_with("# EOF\n"));
        let lines: Vec<&str> = scrape.body.lines().filter(|l| l.contains(" # {")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(
            "signalbox_scan_to_navigate_seconds_bucket{route=\"local\",le=\"0.001\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.0007 "
        ));
        assert!(
            scrape
                .body
                .contains("# TYPE signalbox_events_received counter")
        );
        assert!(!scrape.body.contains("_total_total"));
    }

    #[test]
    fn the_plain_form_has_no_exemplars_and_all_names_follow_the_rules() {
        let metrics = Metrics::new();
        let trace = Some(TraceId(1));
        metrics
            .scan_to_navigate
            .observe(Duration::from_millis(1), trace);

        let scrape = Exposition::scrape(&metrics, Some("text/plain"));

        assert_eq!(scrape.content_type, TEXT_TYPE);
        assert!(!scrape.body.contains("trace_id"));
        for family in metrics.gather() {
            let name = family.name();
            assert!(!family.help().is_empty(), "{name}");
            let counter = family.get_field_type() == MetricType::COUNTER;
            assert_eq!(counter, name.ends_with("_total"), "{name}");
        }
    }

    #[test]
    fn a_node_has_at_most_1500_series() {
        let metrics = Metrics::new();
        let body = Exposition::scrape(&metrics, None).body;
        let series = body.lines().filter(|l| !l.starts_with('#')).count();

        assert!(series <= 1500, "{series}");
    }
}
