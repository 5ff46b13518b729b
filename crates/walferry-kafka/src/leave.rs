//! Clients that end beside whoever has used them.
//!
//! Owns nothing but the thread that drops one. The crate waits 100 ms for the thread of an admin client and for a consumer of a
//! group, which a start would pay for each of its questions, and the encoder for each new topic.

use std::ops::Deref;

/// A client that is dropped on a thread of its own. Nobody waits for its end.
pub(crate) struct Leaving<T: Send + 'static>(Option<T>);

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
        let client = self.0.take();
        let thread = std::thread::Builder::new().name("walferry-leave".into());
        // Without a thread the closure is dropped here, and the client with it.
        let _ = thread.spawn(move || drop(client));
    }
}
