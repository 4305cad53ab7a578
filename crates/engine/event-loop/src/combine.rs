//! The few combinators that the vocabulary needs.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use clock::Tick;

use crate::sleep::sleep_until;

/// Runs both; the first to finish gives the result and the other is dropped. `first` is polled first, so it wins a tie.
pub async fn race<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> T {
    let mut first = pin!(first);
    let mut second = pin!(second);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = poll(first.as_mut(), cx) {
            return Poll::Ready(value);
        }
        poll(second.as_mut(), cx)
    })
    .await
}

/// Runs `future` until `at` at the latest; `None` when the time came first.
pub async fn within<T>(at: Tick, future: impl Future<Output = T>) -> Option<T> {
    race(async { Some(future.await) }, async {
        sleep_until(at).await;
        None
    })
    .await
}

fn poll<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(cx)
}
