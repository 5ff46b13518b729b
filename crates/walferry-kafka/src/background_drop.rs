//! Clients that end beside whoever has used them.
//!
//! Owns the threads that drop them. The crate waits 100 ms for the thread of an admin client and for a consumer of a group, which
//! a start would pay for each of its questions, and the encoder for each new topic.
//! Invariant: a process that calls [`wait_for_clients`] at its end does not go while one of them ends, which would touch what is
//! gone already.

use std::{
    ops::Deref,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// How many are ending.
static ENDING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A client that does not know its broker any more is not waited for.
const END: Duration = Duration::from_millis(500);

/// A client that is dropped on a thread of its own.
pub(crate) struct Leaving<T: Send + 'static>(Option<T>);

/// One that is ending.
struct Ending;

impl Ending {
    fn begin() -> Ending {
        *ENDING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ending
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        *ENDING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_all();
    }
}

impl<T: Send> Leaving<T> {
    pub(crate) fn new(client: T) -> Leaving<T> {
        Leaving(Some(client))
    }
}

impl<T: Send> Deref for Leaving<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
            .as_ref()
            .expect("the client is taken by the drop alone")
    }
}

impl<T: Send> Drop for Leaving<T> {
    fn drop(&mut self) {
        let (client, ending) = (self.0.take(), Ending::begin());
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name("walferry-leave".into());
        // Without a thread the closure is dropped here, and the client with it.
        let _ = thread.spawn(move || {
            let _named = span.enter();
            drop(client);
            drop(ending);
        });
    }
}

/// Waits until the clients that were dropped have ended, half a second at most. For the end of the process.
pub fn wait_for_clients() {
    let ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = ENDED.wait_timeout_while(ending, END, |ending| *ending > 0);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells when it has ended, which it does when it is told.
    struct Client(mpsc::Receiver<()>, mpsc::Sender<()>);

    impl Drop for Client {
        fn drop(&mut self) {
            self.0.recv().unwrap();
            self.1.send(()).unwrap();
        }
    }

    #[test]
    fn a_drop_does_not_wait_for_the_end_and_the_process_does() {
        let ((end, told), (tell, ended)) = (mpsc::channel(), mpsc::channel());
        drop(Leaving::new(Client(told, tell)));
        ended.try_recv().unwrap_err();
        end.send(()).unwrap();
        wait_for_clients();
        ended.try_recv().unwrap();
    }
}
