//! Requests that failed.

use serde::{Deserialize, Serialize};

use crate::{edit::Place, problem::Problem};

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    /// The change would make no sense.
    Invalid,
    /// The named object is not there.
    NotFound,
    /// The name fits several objects.
    Ambiguous,
    /// Somebody else has changed the configuration in between.
    Conflict,
    /// The user may not do that.
    Denied,
    /// The system refused: a file, a socket, an address.
    System,
    /// The daemon took too long.
    Timeout,
    /// Too many clients or requests.
    Busy,
    /// The two programs do not fit, or the message makes no sense.
    Protocol,
    /// Ended by [`super::RequestBody::Cancel`].
    Cancelled,
    /// A mistake of the daemon.
    Internal,
    /// Only somebody else may change the configuration now, or a change of theirs waits to be confirmed.
    Locked,
}

impl ErrorCode {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Ambiguous => "ambiguous",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::System => "system",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Protocol => "protocol",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
            Self::Locked => "locked",
        }
    }
}

/// A request that failed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind, for programs.
    pub code: ErrorCode,
    /// One sentence that names the thing, for people.
    pub message: String,
    /// Where in the configuration: the shell sets its caret there.
    pub place: Option<Place>,
    /// What would be right, or the remedy.
    pub hint: Option<String>,
}

impl ApiError {
    /// An error without place and hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            place: None,
            hint: None,
        }
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self {
            code: ErrorCode::Invalid,
            message: problem.text,
            place: problem.place,
            hint: problem.expected,
        }
    }
}
