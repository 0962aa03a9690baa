//! The runtime of the clients that need one: made when a bus is really used, one thread, and a
//! time for every question.

use std::future::Future;
use std::time::Duration;

use super::{Away, Error};

/// A runtime that belongs to one connection.
#[derive(Debug)]
pub(super) struct Runtime {
    bus: String,
    inner: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    pub(super) fn new(bus: String) -> Result<Runtime, Error> {
        match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(inner) => Ok(Runtime {
                bus,
                inner: Some(inner),
            }),
            Err(error) => Err(Error::Unfit {
                bus,
                why: format!("no runtime for its client: {error}"),
            }),
        }
    }

    pub(super) fn bus(&self) -> &str {
        &self.bus
    }

    /// The runtime as a place to be in: some clients may only be dropped there.
    #[cfg(feature = "amqp")]
    pub(super) fn home(&self) -> Option<tokio::runtime::Handle> {
        self.inner.as_ref().map(|inner| inner.handle().clone())
    }

    /// Waits for the future, at most for `time`.
    pub(super) fn within<T>(
        &self,
        time: Duration,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let silent = || Error::Away {
            bus: self.bus.clone(),
            why: Away::Silent(time),
        };
        let Some(inner) = &self.inner else {
            return Err(silent());
        };
        inner.block_on(async {
            tokio::time::timeout(time, future)
                .await
                .unwrap_or_else(|_| Err(silent()))
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A client that hangs in a call of its own must not keep us.
        if let Some(inner) = self.inner.take() {
            inner.shutdown_background();
        }
    }
}
