//! How busy the runtime is, and the statistics line for those who read logs instead of graphs.

use super::{Metrics, Telemetry};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

const TICK: Duration = Duration::from_millis(100);
/// A tick that is later than this was kept waiting by something that blocked a worker.
const LATE: Duration = Duration::from_millis(50);

/// How often the busy share is set for those who look at this node without Prometheus.
const GLANCE: u64 = 10;

/// The busy share of the worker threads since it was last asked for.
struct Busy(Mutex<(Instant, Duration)>);

impl Busy {
    fn new() -> Self {
        Self(Mutex::new((Instant::now(), Duration::ZERO)))
    }

    fn share(&self, runtime: &Handle) -> f64 {
        let runtime = runtime.metrics();
        let workers = runtime.num_workers();
        let busy: Duration = (0..workers)
            .map(|w| runtime.worker_total_busy_duration(w))
            .sum();
        let now = Instant::now();
        let (then, busy_then) = std::mem::replace(&mut *self.0.lock(), (now, busy));
        let span = (now - then).as_secs_f64() * super::metrics::as_f64(workers);
        if span > 0.0 {
            (busy.saturating_sub(busy_then).as_secs_f64() / span).min(1.0)
        } else {
            0.0
        }
    }
}

impl Telemetry {
    /// Watches the runtime: busy share and queue at each scrape, blocked workers all the time. Runs
    /// until the task is dropped.
    pub async fn watch_runtime(self: Arc<Self>) {
        let handle = Handle::current();
        let (runtime, since_scrape) = (handle.clone(), Busy::new());
        self.metrics.on_scrape(move |metrics| {
            metrics.runtime_busy.set(since_scrape.share(&runtime));
            let depth = super::metrics::as_i64(runtime.metrics().global_queue_depth());
            metrics.runtime_queue.set(depth);
        });
        let since_glance = Busy::new();
        for tick in 0_u64.. {
            let began = Instant::now();
            tokio::time::sleep(TICK).await;
            if began.elapsed() > TICK + LATE {
                self.metrics.runtime_blocked.inc();
            }
            if tick % GLANCE == 0 {
                *self.busy.lock() = since_glance.share(&handle);
            }
        }
    }

    /// The share of the last second that the worker threads were busy, 0 to 1.
    pub fn busy(&self) -> f64 {
        *self.busy.lock()
    }
}

/// Writes one statistics line. `sessions` are all, the active and the paired ones.
pub fn statistics(metrics: &Metrics, connections: usize, sessions: [usize; 3]) {
    let [total, active, paired] = sessions;
    let relayed: u64 = metrics
        .handle_seconds
        .get(crate::event::EventName::ScanOrder.index())
        .map_or(0, prometheus::Histogram::get_sample_count);
    tracing::info!(
        target: "signalbox::stats",
        connections,
        sessions = total,
        sessions_active = active,
        sessions_paired = paired,
        scans = relayed,
        errors = metrics.log_lines.first().map_or(0, prometheus::IntCounter::get),
        "Server stats."
    );
}
