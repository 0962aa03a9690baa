//! GitHub spec-kit: `- [ ] T001 [P] [US1] text` under `## Phase N` headings, which are barriers.

use super::{Format, List, markdown};

/// Reads a spec-kit `tasks.md`.
pub(super) fn read(text: &str) -> List {
    markdown::finish(markdown::draft(text, Format::SpecKit))
}
