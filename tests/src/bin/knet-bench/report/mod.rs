//! The results for people and for programs.

pub(crate) mod chart;
pub(crate) mod json;
pub(crate) mod table;
