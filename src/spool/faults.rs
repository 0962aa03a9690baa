//! Lets the k-th system call of this thread fail, for every k.

use std::cell::Cell;

use rustix::io::Errno;

use super::sys::Sys;

thread_local! {
    static PLAN: Cell<Option<(usize, Errno)>> = const { Cell::new(None) };
}

/// Called before each system call.
pub(super) fn strike(_call: &'static str) -> Sys<()> {
    PLAN.with(|plan| match plan.get() {
        Some((0, errno)) => {
            plan.set(None);
            Err(errno)
        }
        Some((left, errno)) => {
            plan.set(Some((left - 1, errno)));
            Ok(())
        }
        None => Ok(()),
    })
}
