//! cc-sdd: Kiro's file with flat numbering, `(P)`, `_Depends:_`, `_Boundary:_` and `_Blocked:_`.

use super::{Format, List, markdown};

/// Reads a cc-sdd `tasks.md`.
pub(super) fn read(text: &str) -> List {
    markdown::finish(markdown::draft(text, Format::CcSdd))
}
