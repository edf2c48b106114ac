//! Panics: contained inside the barrier around handlers, reported once, without the client's data.

use crate::event::{Component, Failure, FailureKind};
use parking_lot::Mutex;
use prometheus::IntCounter;
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static INSTALLED: Mutex<bool> = Mutex::new(false);

/// Replaces the process's panic hook. Inside the barrier it notes the place for the one ERROR line of
/// the event; elsewhere it writes that line itself.
pub(super) fn install(count: IntCounter) {
    let mut installed = INSTALLED.lock();
    if std::mem::replace(&mut *installed, true) {
        return;
    }
    std::panic::set_hook(Box::new(move |info| {
        count.inc();
        let place = place(info);
        if INSIDE.get() {
            PLACE.with_borrow_mut(|p| *p = Some(place));
        } else {
            tracing::error!(
                target: "signalbox::panic",
                component = Component::Job.as_str(),
                kind = FailureKind::Panic.as_str(),
                detail = place,
                "A background task panicked."
            );
        }
    }));
}

/// Where it happened, and the message if it is a constant of the program: a formatted one may hold
/// what a client sent.
fn place(info: &PanicHookInfo<'_>) -> String {
    let location = info
        .location()
        .map_or_else(|| "unknown place".to_owned(), ToString::to_string);
    match info.payload().downcast_ref::<&'static str>() {
        Some(message) => format!("{location}: {message}"),
        None => format!("{location}: message withheld"),
    }
}

/// A future whose panic becomes a [`Failure`].
pub(super) struct Barrier<'a, F>(pub(super) Pin<&'a mut F>);

impl<F: Future> Future for Barrier<'_, F> {
    type Output = Result<F::Output, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outer = INSIDE.replace(true);
        // What a panicking turn leaves behind is its own future, which is dropped, and state that
        // is changed in whole steps under locks that do not poison.
        let polled = catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx)));
        INSIDE.set(outer);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_) => Poll::Ready(Err(Failure {
                component: Component::Handler,
                kind: FailureKind::Panic,
                detail: PLACE
                    .with_borrow_mut(Option::take)
                    .unwrap_or_default()
                    .into(),
            })),
        }
    }
}
