//! The configuration: from the file to what runs, and back to the file.
//!
//! A change goes through [`plan`]: what is named is prepared and applied, step by step, and everything is undone
//! if a step fails. Texts become [`setup::Setup`]s with the keys of [`keys`]. What was in force is kept in [`history`].

pub(crate) mod admissions;
pub(crate) mod certificate_files;
mod domain;
pub(crate) mod history;
pub(crate) mod impact;
pub(crate) mod invitations;
pub(crate) mod key_files;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod revocation_dates;
pub(crate) mod setup;
pub(crate) mod slots;
mod source_guard;
pub(crate) mod sources;
pub(crate) mod store;
pub(crate) mod this_host;
pub(crate) mod unconfirmed;
pub(crate) mod watched_file;
