//! How busy the runtime is, and the statistics line for those who read logs instead of graphs.

use super::{Metrics, Telemetry};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

const TICK: Duration = Duration::from_millis(100);
/// A tick that is later than this was kept waiting by something that blocked a worker.
const LATE: Duration = Duration::from_millis(50);

impl Telemetry {
    /// Watches the runtime: busy share and queue at each scrape, blocked workers all the time. Runs
    /// until the task is dropped.
    pub async fn watch_runtime(self: Arc<Self>) {
        let state = parking_lot::Mutex::new((Instant::now(), Duration::ZERO));
        let handle = Handle::current();
        self.metrics.on_scrape(move |metrics| {
            let runtime = handle.metrics();
            let workers = runtime.num_workers();
            let busy: Duration = (0..workers)
                .map(|w| runtime.worker_total_busy_duration(w))
                .sum();
            let now = Instant::now();
            let mut seen = state.lock();
            let (then, busy_then) = std::mem::replace(&mut *seen, (now, busy));
            let span = (now - then).as_secs_f64() * super::metrics::as_f64(workers);
            if span > 0.0 {
                let share = busy.saturating_sub(busy_then).as_secs_f64() / span;
                metrics.runtime_busy.set(share.min(1.0));
            }
            let depth = i64::try_from(runtime.global_queue_depth()).unwrap_or(i64::MAX);
            metrics.runtime_queue.set(depth);
        });
        loop {
            let began = Instant::now();
            tokio::time::sleep(TICK).await;
            if began.elapsed() > TICK + LATE {
                self.metrics.runtime_blocked.inc();
            }
        }
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
