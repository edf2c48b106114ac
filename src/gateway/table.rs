//! The event table: the only way to register a handler. One row per event, one table per namespace.

use crate::event::{
    About, ClientEvent, Context, Decision, EventName, Namespace, PushName, QuotaClass, Rejection,
    Reply, Visits,
};
use serde::de::{self, IgnoredAny};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::Arc,
};

type Decided<'a> = Pin<Box<dyn Future<Output = Result<Decision, Rejection>> + Send + 'a>>;
type Parse = Box<dyn Fn(&str) -> Result<Box<dyn Parsed>, serde_json::Error> + Send + Sync>;

/// A payload that was understood, ready to be decided on.
pub(super) trait Parsed: Send {
    fn traceparent(&self) -> Option<&str>;
    fn about(&self) -> About<'_>;
    fn decide(self: Box<Self>, cx: &Context) -> Decided<'_>;
}

/// What is known about an event before one arrives.
pub(super) struct Row {
    pub(super) name: EventName,
    pub(super) quota: QuotaClass,
    pub(super) max_bytes: usize,
    pub(super) reply: Reply,
    pub(super) error: PushName,
    pub(super) guests: bool,
    pub(super) paired: bool,
    pub(super) mark: Option<&'static str>,
    pub(super) parse: Parse,
}

/// The events of one family, and what it does when a socket comes or goes.
#[derive(Default)]
pub struct Family {
    rows: Vec<(&'static [Namespace], Arc<Row>)>,
    visits: Option<Box<dyn Visits>>,
}

impl Family {
    /// A family without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the row of `E`, which decides with `services`.
    #[must_use]
    pub fn event<E, S>(mut self, services: &S) -> Self
    where
        E: ClientEvent<S>,
        S: Clone + Send + Sync + 'static,
    {
        let services = services.clone();
        let parse = move |json: &str| {
            Ok(Box::new(Ready {
                event: parse::<E, S>(json)?,
                services: services.clone(),
            }) as Box<dyn Parsed>)
        };
        let row = Row {
            name: E::NAME,
            quota: E::QUOTA,
            max_bytes: E::MAX_BYTES,
            reply: E::REPLY,
            error: E::ERROR,
            guests: E::GUESTS,
            paired: E::PAIRED,
            mark: E::MARK,
            parse: Box::new(parse),
        };
        self.rows.push((E::NAMESPACES, Arc::new(row)));
        self
    }

    /// Says what is to do when a socket comes or goes.
    #[must_use]
    pub fn visits(mut self, visits: impl Visits) -> Self {
        self.visits = Some(Box::new(visits));
        self
    }
}

/// No argument is the same as `null`.
fn parse<E: ClientEvent<S>, S>(json: &str) -> Result<E, serde_json::Error> {
    if !E::LISTS && json.trim_start().starts_with('[') {
        return Err(de::Error::custom("an object is expected, not a list"));
    }
    serde_json::from_str(if json.is_empty() { "null" } else { json })
}

struct Ready<E, S> {
    event: E,
    services: S,
}

impl<E, S> Parsed for Ready<E, S>
where
    E: ClientEvent<S>,
    S: Send + Sync + 'static,
{
    fn traceparent(&self) -> Option<&str> {
        self.event.traceparent()
    }

    fn about(&self) -> About<'_> {
        self.event.about()
    }

    fn decide(self: Box<Self>, cx: &Context) -> Decided<'_> {
        Box::pin(async move {
            let Self { event, services } = *self;
            event.handle(cx, &services).await
        })
    }
}

/// Events of one name, by their families.
type Rows = SmallVec<[Arc<Row>; 1]>;

/// All families, by namespace and name.
pub struct Table {
    rows: HashMap<Namespace, HashMap<&'static str, Rows>>,
    visits: Vec<Box<dyn Visits>>,
}

impl Table {
    /// Puts families together.
    pub fn new(families: impl IntoIterator<Item = Family>) -> Self {
        let mut table = Self {
            rows: HashMap::new(),
            visits: Vec::new(),
        };
        for family in families {
            for (namespaces, row) in family.rows {
                for namespace in namespaces {
                    let rows = table.rows.entry(*namespace).or_default();
                    rows.entry(row.name.as_str()).or_default().push(row.clone());
                }
            }
            table.visits.extend(family.visits);
        }
        table
    }

    #[expect(
        clippy::zero_sized_map_values,
        reason = "so serde reads the fields of an object"
    )]
    /// The row of an event; where families share the name, the payload tells (contract, section 1).
    pub(super) fn row(&self, namespace: Namespace, name: &str, payload: &str) -> Option<&Row> {
        let rows = self.rows.get(&namespace)?.get(name)?;
        if let [only] = rows.as_slice() {
            return Some(only);
        }
        let fields: BTreeMap<Cow<'_, str>, IgnoredAny> =
            serde_json::from_str(payload).unwrap_or_default();
        let mut marked = rows.iter();
        let marked = marked.find(|row| row.mark.is_some_and(|mark| fields.contains_key(mark)));
        let row = marked.or_else(|| rows.iter().find(|row| row.mark.is_none()));
        row.map(AsRef::as_ref)
    }

    /// What all families do when a socket comes.
    pub(super) async fn arrived(&self, cx: &Context) -> Result<Decision, Rejection> {
        let mut all = Decision::default();
        for visits in &self.visits {
            all.join(visits.arrived(cx).await?);
        }
        Ok(all)
    }

    /// What all families do when one goes.
    pub(super) async fn departed(&self, cx: &Context) -> Decision {
        let mut all = Decision::default();
        for visits in &self.visits {
            all.join(visits.departed(cx).await);
        }
        all
    }
}
