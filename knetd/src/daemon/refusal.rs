//! Why a change of the configuration is refused.

use libknet::api::{
    message::{ApiError, ErrorCode},
    model::Config,
    problem::{Problem, Severity},
};

/// Why a configuration was not put into force; everything is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommitError {
    /// It makes no sense, or names a key that cannot be used.
    Problems(Vec<Problem>),
    /// The system refused. The text names the thing and the remedy.
    System(String),
    /// Not now, or not by this client.
    Refused(Box<ApiError>),
}

/// The problems for which a configuration is refused, if there are any.
pub(super) fn refused(problems: &[Problem]) -> Option<Vec<Problem>> {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let errors: Vec<Problem> = errors.cloned().collect();
    (!errors.is_empty()).then_some(errors)
}

impl CommitError {
    /// The same, with places in the configuration for all hosts.
    pub(super) fn written(self, config: &Config, host: &str) -> Self {
        match self {
            Self::Problems(problems) => Self::Problems(
                problems
                    .into_iter()
                    .map(|problem| Problem {
                        place: problem.place.map(|place| config.written(host, place)),
                        ..problem
                    })
                    .collect(),
            ),
            other => other,
        }
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Problems(problems) => first_problem(problems),
            CommitError::System(text) => Self::new(ErrorCode::System, text),
            CommitError::Refused(error) => *error,
        }
    }
}

impl From<ApiError> for CommitError {
    fn from(error: ApiError) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// Of several problems the first, with the number of the others.
pub(super) fn first_problem(problems: Vec<Problem>) -> ApiError {
    let others = problems.len().saturating_sub(1);
    let mut problems = problems.into_iter();
    let Some(first) = problems.next() else {
        return ApiError::new(ErrorCode::Internal, "refused without a reason");
    };
    let mut error = ApiError::from(first);
    if others > 0 {
        error.message = format!("{} (and {others} more)", error.message);
    }
    error
}
