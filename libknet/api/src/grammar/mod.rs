//! The grammar: one table of what can be configured, one of what can be commanded, and the engine that reads
//! lines by them. The shell and the daemon link the same tables, so that file, shell and
//! `show running-config` cannot differ.
//!
//! | question | module |
//! |---|---|
//! | which lines there are | [`schema`], [`commands`], [`transactions`], [`types`] |
//! | what a line means | [`parse`] |
//! | what is wrong with a line | [`SyntaxError`] |
//! | what may come next (`?`, Tab) | [`help`], [`complete`] |

pub mod access;
mod arena;
mod bind;
mod climb;
pub mod commands;
mod common_fields;
mod complete;
mod elsewhere;
mod error;
mod explain;
mod fields;
mod guard_fields;
mod help;
pub mod lexer;
mod matcher;
mod member_fields;
mod negotiated_fields;
mod querier_fields;
pub mod schema;
pub mod spelling;
mod stuck;
pub(crate) mod syntax;
pub mod transactions;
pub mod types;

pub(crate) use self::bind::parse_untold;
use self::{arena::ARENA, schema::Row, syntax::Pattern};
pub use self::{
    bind::{Edit, Line, Words, arguments, parse},
    commands::{Command, Show, TerminalSetting, View},
    complete::{Completion, complete},
    error::{ErrorKind, SyntaxError, caret},
    help::{HelpLine, help},
    schema::Mode,
    transactions::Transaction,
};
use crate::value::Value;

/// The line of `row` with these arguments; `None` where they do not fit.
pub fn line_of(row: &'static Row, values: &[Value]) -> Option<String> {
    let mut rest = values;
    let words = ARENA.pattern(row)?.words(&mut rest)?;
    rest.is_empty().then(|| words.join(" "))
}

/// The whole syntax of `row`.
pub(crate) fn pattern_of(row: &'static Row) -> Option<&'static Pattern> {
    ARENA.pattern(row)
}

/// A number that changes with the tables: 64 bits of FNV-1a over all that is in them.
pub fn table_hash() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for row in schema::all() {
        add(row.key);
        add(row.tail);
        add(&format!(
            "{:?} {:?}",
            row.mode,
            row.setting().map(|(leaf, _)| leaf)
        ));
    }
    for command in commands::all() {
        add(command.syntax);
    }
    for argument in types::TYPES {
        add(argument.name);
        argument.forms.iter().for_each(|form| add(&format!("{form:?}")));
    }
    hash
}
