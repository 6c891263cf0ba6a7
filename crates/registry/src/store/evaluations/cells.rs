//! The pictures of an evaluation, one row each: what is asked of the generator is written before it is asked.

use sqlx::FromRow;

use crate::domain::EvaluationId;
use crate::error::{Error, Result};
use crate::store::{Store, on_db};

const INSERT: &str =
    "INSERT INTO evaluation_cells (evaluation_id, place, file, prompt, seed, strength, state)
    VALUES ($1, $2, $3, $4, $5, $6, 'waiting') ON CONFLICT DO NOTHING";
const SAVE: &str =
    "UPDATE evaluation_cells SET state = $3, prompt_id = $4, image_sha256 = $5, seconds = $6, error = $7
    WHERE evaluation_id = $1 AND place = $2";
const LIST: &str =
    "SELECT place, file, prompt, seed, strength, state, prompt_id, image_sha256, seconds, error
    FROM evaluation_cells WHERE evaluation_id = $1 ORDER BY place";

/// Where a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellState {
    /// Not asked for yet.
    Waiting,
    /// The generator was, or is about to be, asked under `prompt_id`.
    Submitted,
    /// Its file is whole.
    Done,
    /// It will not come; `error` says why.
    Failed,
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredCell {
    pub(crate) place: usize,
    /// Index of the file in the request.
    pub(crate) file: usize,
    /// Index of the prompt.
    pub(crate) prompt: usize,
    pub(crate) seed: u64,
    pub(crate) strength: f64,
    pub(crate) state: CellState,
    /// What the generator knows it by.
    pub(crate) prompt_id: Option<String>,
    pub(crate) image_sha256: Option<String>,
    /// How long the generator took.
    pub(crate) seconds: Option<f64>,
    pub(crate) error: Option<String>,
}

#[derive(FromRow)]
struct Row {
    place: i64,
    file: i64,
    prompt: i64,
    seed: String,
    strength: f64,
    state: String,
    prompt_id: Option<String>,
    image_sha256: Option<String>,
    seconds: Option<f64>,
    error: Option<String>,
}

impl CellState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Submitted, Self::Done, Self::Failed];

    /// The name in documents and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Submitted => "submitted",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Store {
    /// Writes the grid; rows that are there stay as they are.
    pub(crate) async fn insert_cells(&self, id: EvaluationId, cells: &[StoredCell]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for cell in cells {
                sqlx::query(INSERT)
                    .bind(id.0)
                    .bind(cell.place as i64)
                    .bind(cell.file as i64)
                    .bind(cell.prompt as i64)
                    .bind(cell.seed.to_string())
                    .bind(cell.strength)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Writes what became of a picture.
    pub(crate) async fn save_cell(&self, id: EvaluationId, cell: &StoredCell) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE)
                .bind(id.0)
                .bind(cell.place as i64)
                .bind(cell.state.as_str())
                .bind(&cell.prompt_id)
                .bind(&cell.image_sha256)
                .bind(cell.seconds)
                .bind(&cell.error)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// All pictures of an evaluation in their order.
    pub(crate) async fn list_cells(&self, id: EvaluationId) -> Result<Vec<StoredCell>> {
        let rows: Vec<Row> =
            on_db!(&self.write, pool => sqlx::query_as(LIST).bind(id.0).fetch_all(pool).await)?;
        rows.into_iter().map(|row| row.stored(id)).collect()
    }
}

impl Row {
    fn stored(self, id: EvaluationId) -> Result<StoredCell> {
        let unreadable = |cause: String| {
            Error::internal(format!("a picture of `{id}` in the database cannot be read"), cause)
        };
        let state = CellState::ALL.into_iter().find(|state| state.as_str() == self.state);
        Ok(StoredCell {
            place: self.place as usize,
            file: self.file as usize,
            prompt: self.prompt as usize,
            seed: self.seed.parse().map_err(|error| unreadable(format!("seed `{}`: {error}", self.seed)))?,
            strength: self.strength,
            state: state.ok_or_else(|| unreadable(format!("it has the unknown state `{}`", self.state)))?,
            prompt_id: self.prompt_id,
            image_sha256: self.image_sha256,
            seconds: self.seconds,
            error: self.error,
        })
    }
}
