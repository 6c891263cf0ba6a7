//! An evaluation as a job: which state may follow which.

/// Where an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvaluationState {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Its answer is whole; single checks or pictures may have failed and say so.
    Completed,
    /// It gave no answer.
    Failed,
    /// Somebody ended it; what was found until then is kept.
    Cancelled,
}

/// Which workers an evaluation waits for: pictures take hours, weights seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvaluationLane {
    /// Files alone.
    Weights,
    /// Through the generator.
    Images,
}

impl EvaluationState {
    /// The name in documents and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == name)
    }

    /// Whether nothing more comes.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl EvaluationLane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Weights, Self::Images];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Images => "images",
        }
    }
}
