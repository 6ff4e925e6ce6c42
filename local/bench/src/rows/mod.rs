//! The rows, one module each, with a Markdown page beside it that the report shows.

use std::fmt;

use crate::figures::RowId;

pub(crate) use about::About;

mod about;
pub(super) mod backlog;
pub(super) mod cost;
pub(super) mod first_load;
pub(super) mod growth;
pub(super) mod hot_key;
pub(super) mod kinesis_path;
pub(super) mod lane_time;
pub(super) mod newcomer;
pub(super) mod one_lane;
pub(super) mod proof;
pub(super) mod real_stream;
pub(super) mod rules;
pub(super) mod searchable;
pub(super) mod shard_limit;
pub(super) mod start;
pub(super) mod unguarded;
pub(super) mod view_type;

impl RowId {
    /// Texts of the row.
    pub(crate) fn about(self) -> &'static About {
        match self {
            Self::OneLane => &one_lane::ABOUT,
            Self::RealStream => &real_stream::ABOUT,
            Self::ShardLimit => &shard_limit::ABOUT,
            Self::Backlog => &backlog::ABOUT,
            Self::Start => &start::ABOUT,
            Self::Growth => &growth::ABOUT,
            Self::LaneTime => &lane_time::ABOUT,
            Self::HotKey => &hot_key::ABOUT,
            Self::Unguarded => &unguarded::ABOUT,
            Self::Searchable => &searchable::ABOUT,
            Self::FirstLoad => &first_load::ABOUT,
            Self::Proof => &proof::ABOUT,
            Self::Cost => &cost::ABOUT,
            Self::Newcomer => &newcomer::ABOUT,
            Self::Rules => &rules::ABOUT,
            Self::ViewType => &view_type::ABOUT,
            Self::KinesisPath => &kinesis_path::ABOUT,
        }
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { number, name, .. } = self.about();
        write!(f, "{number} {name}")
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_row_is_called_as_on_the_command_line() {
        for id in RowId::value_variants() {
            let value = id.to_possible_value().expect("a row that can be asked for");
            assert_eq!(value.get_name(), id.about().name);
            assert!(value.matches(id.about().number, true), "{id}");
            assert_eq!(serde_json::to_value(id).expect("a number"), id.about().number);
        }
    }
}
