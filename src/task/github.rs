//! A plain task list as GitHub shows it: boxes, nested by indentation.

use super::{Format, List, markdown};

/// Reads a plain task list.
pub(super) fn read(text: &str) -> List {
    markdown::finish(markdown::draft(text, Format::Github))
}
