//! The fixed texts of a row.

/// Texts of a row that no run changes.
pub(crate) struct About {
    pub(crate) number: &'static str,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Name of the bounded figure that stands for the row in the overview.
    pub(crate) headline: &'static str,
    /// The row's page of Markdown.
    pub(crate) notes: &'static str,
}
