//! OpenSpec: `## N. Group` headings over `- [ ] N.M text`; order only.

use super::{Format, List, markdown};

/// Reads an OpenSpec `tasks.md`.
pub(super) fn read(text: &str) -> List {
    markdown::finish(markdown::draft(text, Format::OpenSpec))
}
