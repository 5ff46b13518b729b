//! Connections of the admin server: how many there may be, and how long each may take.
//!
//! Owns the listener, the connections and their limits. Never: knows a path.
//! Invariants: no more than [`CONNECTIONS_MAX`] connections are served, and [`LEAVING_MAX`] more are ending, so that descriptors are left for the servers that a
//! connector needs; a connection is accepted as soon as it comes. Where there is no room the one goes that has waited longest
//! without a whole request: whoever asks at once is answered, however many others keep silent.
//! Start reading at [`serve`].

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{self, Body, Bytes},
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    time,
};
use tower::ServiceExt;

/// Connections at the same time. A dozen scrapers and probes and a few people need fewer.
const CONNECTIONS_MAX: usize = 64;
/// Those that were let go of and whose tasks have not ended yet: their descriptors are still open. A new one waits for room here,
/// which comes by itself.
const LEAVING_MAX: usize = 64;
/// How long the head of a request may take, and how long a connection may wait for the next one.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// How long the body of a request may take, and how large it may be: a few names and a condition.
const BODY_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long an answer may take. A pause waits for the end of a transaction.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// How long a connection may last with all of its requests, so that one that does not read its answers ends too.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// What the buffers of a connection may hold.
const BUFFER_BYTES_MAX: usize = 32 << 10;
/// The pause after a failed accept: a process without descriptors must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(ANSWER_MAX.as_secs() < CONNECTION_MAX.as_secs());

/// Answers connections until the process ends.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let open = Open::default();
    let descriptors = Arc::new(Semaphore::new(CONNECTIONS_MAX + LEAVING_MAX));
    let mut refused = false;
    loop {
        // It is never closed.
        let Ok(descriptor) = descriptors.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                refused = false;
                if let Some(place) = open.take() {
                    let served = connection(stream, router.clone(), place);
                    tokio::spawn(async move {
                        served.await;
                        drop(descriptor);
                    });
                }
            }
            Err(error) => {
                // Told once, and not for each of the tries.
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(%error, "the admin server cannot accept a connection; it tries again");
                }
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, place: Place) {
    let state = place.state.clone();
    let service = service_fn(move |request| answer(router.clone(), request, state.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = served => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the admin server ended");
            }
        }
        () = place.state.evicted.notified() => {}
        () = time::sleep(CONNECTION_MAX) => {}
    }
}

/// Answers one request. While it is answered its connection is not given up for another.
async fn answer(
    router: Router,
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response, io::Error> {
    let (head, body) = request.into_parts();
    let body = match time::timeout(BODY_MAX, whole(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refused)) => return Ok(refused),
        Err(_) => return Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
    };
    state.answering.store(true, Ordering::Relaxed);
    let request = Request::from_parts(head, Body::from(body));
    let answered = time::timeout(ANSWER_MAX, router.oneshot(request)).await;
    state.answering.store(false, Ordering::Relaxed);
    Ok(match answered {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "there was no answer in time; ask /status what came of it\n",
        )
            .into_response(),
    })
}

async fn whole(body: Incoming) -> Result<Bytes, Response> {
    body::to_bytes(Body::new(body), BODY_BYTES_MAX)
        .await
        .map_err(|_| {
            let said = format!("a body may have {BODY_BYTES_MAX} bytes at most\n");
            (StatusCode::PAYLOAD_TOO_LARGE, said).into_response()
        })
}

/// The connections that are open, in the order in which they came.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<Connections>>);

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Arc<State>>,
}

/// A connection, as others see it.
#[derive(Default)]
struct State {
    answering: AtomicBool,
    evicted: Notify,
}

/// The place of a connection among those that are open; it is free when this is dropped.
struct Place {
    number: u64,
    state: Arc<State>,
    open: Open,
}

impl Open {
    /// A place for a new connection. None when every one that is open is being answered.
    fn take(&self) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.open.len() >= CONNECTIONS_MAX {
            let waits = |it: &(&u64, &Arc<State>)| !it.1.answering.load(Ordering::Relaxed);
            let longest = *all.open.iter().find(waits)?.0;
            // It is off the list at once, and its task ends when it is told.
            let evicted = all.open.remove(&longest)?;
            evicted.evicted.notify_one();
        }
        let (number, state) = (all.next, Arc::<State>::default());
        all.next += 1;
        all.open.insert(number, state.clone());
        Some(Place {
            number,
            state,
            open: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_has_waited_longest_makes_room_and_one_that_is_answered_does_not() {
        let open = Open::default();
        let places: Vec<Place> = (0..CONNECTIONS_MAX).filter_map(|_| open.take()).collect();
        let there = |number: u64| open.0.lock().unwrap().open.contains_key(&number);
        places[0].state.answering.store(true, Ordering::Relaxed);
        let newer = open.take().unwrap();
        assert!(there(0) && !there(1) && there(2) && there(newer.number));
        for place in places.iter().chain([&newer]) {
            place.state.answering.store(true, Ordering::Relaxed);
        }
        assert!(open.take().is_none());
        drop(places);
        assert_eq!(open.0.lock().unwrap().open.len(), 1);
        assert!(open.take().is_some());
    }
}
