//! What the shell and the daemon have in common: the configuration model, the grammar of the configuration
//! and of the commands, and the messages on the control socket. Pure data: no sockets, no files, no clock.
//!
//! | question | module |
//! |---|---|
//! | what can be configured, and which combinations make sense | [`model`], [`validate`] |
//! | how many peers are kept so that a change costs what it is | [`persistent_map`] |
//! | certificates and invitations, how points in time are written | [`certificate`], [`invitation`], [`moment`] |
//! | one file for all hosts | [`host`] |
//! | where metrics are told | [`metrics`] |
//! | how a change of the configuration is named and applied | [`edit`], [`apply`] |
//! | how two configurations differ, and how changes of two people come together | [`mod@diff`], [`text_diff`], [`mod@rebase`] |
//! | what a line means, what may come next, what is wrong | [`grammar`]; all lines: [`mod@reference`] |
//! | what the two programs say to each other | [`message`], [`rows`], [`transaction`], [`codec`] |
#![forbid(unsafe_code)]

pub mod apply;
pub mod certificate;
pub mod codec;
pub mod diff;
pub mod edit;
pub mod grammar;
pub mod group;
pub mod host;
mod hub_group;
pub mod invitation;
pub mod link_settings;
pub mod load;
pub mod message;
pub mod metrics;
pub mod model;
pub mod moment;
pub mod negotiated;
pub mod persistent_map;
pub mod problem;
pub mod rebase;
pub mod reference;
pub mod render;
pub mod rows;
pub mod source_guard;
pub mod switchport;
pub mod text_diff;
pub mod transaction;
pub mod validate;
pub mod value;
