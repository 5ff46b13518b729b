//! A lock that is taken also after a thread has panicked with it.
//!
//! Owns: [`lock`]. What the proxy keeps under locks is changed in single steps.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
