//! What is logged, which can be changed at run time for a while; it reverts by itself.

use parking_lot::Mutex;
use prometheus::IntGauge;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    reload,
};

type Reload = Box<dyn Fn(Targets) + Send + Sync>;

/// The log level of this process.
#[derive(Clone)]
pub struct LogLevel(Arc<Inner>);

struct Inner {
    /// `LOG_LEVEL`.
    set: String,
    filters: Mutex<Vec<Reload>>,
    raised: Mutex<Option<Raised>>,
    gauge: IntGauge,
}

/// A change for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// What is in force meanwhile.
    pub directives: String,
    /// Until then.
    pub until: SystemTime,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel")
            .field("set", &self.0.set)
            .finish_non_exhaustive()
    }
}

/// Directives as targets; what cannot be read was refused by the settings.
fn targets(directives: &str) -> Targets {
    let default = || Targets::new().with_default(LevelFilter::INFO);
    directives.parse().unwrap_or_else(|_| default())
}

impl LogLevel {
    /// The level of the settings.
    pub(super) fn new(set: &str, gauge: IntGauge) -> Self {
        Self(Arc::new(Inner {
            set: set.to_owned(),
            filters: Mutex::default(),
            raised: Mutex::default(),
            gauge,
        }))
    }

    /// A filter that follows the level.
    pub(super) fn filter<S: Subscriber>(&self) -> reload::Layer<Targets, S> {
        let (filter, handle) = reload::Layer::new(targets(&self.0.set));
        let apply = move |targets| {
            // It fails only when there is no subscriber any more: then nothing is logged.
            let _ = handle.reload(targets);
        };
        self.0.filters.lock().push(Box::new(apply));
        filter
    }

    /// What is in force, and until when if that was changed at run time.
    pub fn now(&self) -> (String, Option<SystemTime>) {
        match &*self.0.raised.lock() {
            Some(raised) => (raised.directives.clone(), Some(raised.until)),
            None => (self.0.set.clone(), None),
        }
    }

    /// Logs `target`, or everything of this server, from `level` up for `period`. A later change replaces
    /// an earlier one. Must be called on the runtime, which reverts it.
    pub fn raise(&self, level: Level, target: Option<&str>, period: Duration) -> Raised {
        let target = target.unwrap_or("signalbox");
        let raised = Raised {
            directives: format!("{},{target}={}", self.0.set, level.as_str().to_lowercase()),
            until: SystemTime::now() + period,
        };
        self.apply(&raised.directives);
        *self.0.raised.lock() = Some(raised.clone());
        self.0.gauge.set(1);
        let (level, mine) = (self.clone(), raised.clone());
        tokio::spawn(async move {
            tokio::time::sleep(period).await;
            level.revert(&mine);
        });
        raised
    }

    fn revert(&self, mine: &Raised) {
        let mut raised = self.0.raised.lock();
        if raised.as_ref() != Some(mine) {
            return;
        }
        *raised = None;
        self.apply(&self.0.set);
        self.0.gauge.set(0);
        tracing::warn!(
            target: "signalbox::level",
            directives = self.0.set.as_str(),
            "The log level has reverted."
        );
    }

    fn apply(&self, directives: &str) {
        for filter in self.0.filters.lock().iter() {
            filter(targets(directives));
        }
    }
}
