//! Uploads that come in pieces: one row each, from its beginning until a day after its end.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, on_db};
use crate::domain::{UploadDetails, UploadId, UploadRoute};
use crate::error::Result;

const COLUMNS: &str = "id, state, route, file_name, entity_type, use_safe_filename, metadata, length_bytes,
    offset_bytes, owner, created_at, expires_at, error_code, error_text, error_sha256";
const INSERT: &str =
    "INSERT INTO resumable_uploads (id, state, route, file_name, entity_type, use_safe_filename, metadata,
        length_bytes, offset_bytes, owner, created_at, expires_at)
    VALUES ($1, 'receiving', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const ADVANCE: &str = "UPDATE resumable_uploads SET offset_bytes = $2, expires_at = $3 WHERE id = $1";
const END: &str = "UPDATE resumable_uploads
    SET state = $2, expires_at = $3, error_code = $4, error_text = $5, error_sha256 = $6 WHERE id = $1";
const DELETE: &str = "DELETE FROM resumable_uploads WHERE id = $1";

/// Where an upload in pieces stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResumableState {
    /// Bytes are missing, or it is not judged yet.
    Receiving,
    /// Its file is in its place; `uploads` has a row of the same id.
    Done,
    /// It was refused.
    Failed(StoredFailure),
}

/// Why an upload was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFailure {
    /// Stable word.
    pub(crate) code: String,
    /// For people.
    pub(crate) text: String,
    /// Of the content, when it went to quarantine.
    pub(crate) sha256: Option<String>,
}

/// One upload in pieces, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredResumable {
    /// Its id, also that of its part and of the upload that it becomes.
    pub(crate) id: UploadId,
    /// Where it stands.
    pub(crate) state: ResumableState,
    /// What it says of itself.
    pub(crate) details: UploadDetails,
    /// The same as the client wrote it.
    pub(crate) metadata: String,
    /// Length of the whole in bytes.
    pub(crate) length_bytes: u64,
    /// Bytes that are on the disk for good.
    pub(crate) offset_bytes: u64,
    /// The subject of the token that it was begun with; `None` for the admin.
    pub(crate) owner: Option<String>,
    /// When it was begun.
    pub(crate) created_at: DateTime<Utc>,
    /// When it is forgotten unless something happens.
    pub(crate) expires_at: DateTime<Utc>,
}

/// Which uploads in pieces are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ResumableFilter<'a> {
    /// That one.
    Id(UploadId),
    /// Those that are not over.
    Open,
    /// Those that are to be forgotten at that moment.
    ExpiredAt(DateTime<Utc>),
    /// Those of that owner, newest first; of everybody without one.
    Of(Option<&'a str>),
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    state: String,
    route: String,
    file_name: String,
    entity_type: Option<String>,
    use_safe_filename: bool,
    metadata: String,
    length_bytes: i64,
    offset_bytes: i64,
    owner: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    error_code: Option<String>,
    error_text: Option<String>,
    error_sha256: Option<String>,
}

impl Store {
    /// A new one, of which nothing has come yet.
    pub(crate) async fn insert_resumable(&self, upload: &StoredResumable) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(INSERT)
                .bind(upload.id.0)
                .bind(upload.details.route.as_str())
                .bind(&upload.details.file_name)
                .bind(&upload.details.entity_type)
                .bind(upload.details.use_safe_filename)
                .bind(&upload.metadata)
                .bind(upload.length_bytes as i64)
                .bind(upload.offset_bytes as i64)
                .bind(&upload.owner)
                .bind(upload.created_at)
                .bind(upload.expires_at)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// So much of it is on the disk.
    pub(crate) async fn advance_resumable(
        &self,
        id: UploadId,
        offset_bytes: u64,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(ADVANCE).bind(id.0).bind(offset_bytes as i64).bind(expires_at).execute(pool).await?;
        });
        Ok(())
    }

    /// It is over: done, or failed for that reason.
    pub(crate) async fn end_resumable(
        &self,
        id: UploadId,
        expires_at: DateTime<Utc>,
        failure: Option<&StoredFailure>,
    ) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(END)
                .bind(id.0)
                .bind(if failure.is_some() { "failed" } else { "done" })
                .bind(expires_at)
                .bind(failure.map(|failure| failure.code.as_str()))
                .bind(failure.map(|failure| failure.text.as_str()))
                .bind(failure.and_then(|failure| failure.sha256.as_deref()))
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Forgets one.
    pub(crate) async fn delete_resumable(&self, id: UploadId) -> Result<()> {
        on_db!(&self.write, pool => { sqlx::query(DELETE).bind(id.0).execute(pool).await?; });
        Ok(())
    }

    /// At most `limit` of them.
    pub(crate) async fn list_resumable(
        &self,
        filter: ResumableFilter<'_>,
        limit: u32,
    ) -> Result<Vec<StoredResumable>> {
        let rows: Vec<Row> = on_db!(&self.write, pool => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM resumable_uploads WHERE ");
            match filter {
                ResumableFilter::Id(id) => query.push("id = ").push_bind(id.0),
                ResumableFilter::Open => query.push("state = 'receiving'"),
                ResumableFilter::ExpiredAt(now) => query.push("expires_at <= ").push_bind(now),
                ResumableFilter::Of(Some(owner)) => query.push("owner = ").push_bind(owner),
                ResumableFilter::Of(None) => query.push("1 = 1"),
            };
            query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(Row::upload).collect())
    }
}

impl Row {
    fn upload(self) -> StoredResumable {
        let state = match self.state.as_str() {
            "done" => ResumableState::Done,
            "failed" => ResumableState::Failed(StoredFailure {
                code: self.error_code.unwrap_or_default(),
                text: self.error_text.unwrap_or_default(),
                sha256: self.error_sha256,
            }),
            _ => ResumableState::Receiving,
        };
        StoredResumable {
            id: UploadId(self.id),
            state,
            details: UploadDetails {
                route: UploadRoute::parse(&self.route),
                file_name: self.file_name,
                entity_type: self.entity_type,
                use_safe_filename: self.use_safe_filename,
            },
            metadata: self.metadata,
            length_bytes: self.length_bytes as u64,
            offset_bytes: self.offset_bytes as u64,
            owner: self.owner,
            created_at: self.created_at,
            expires_at: self.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::testing::both_databases;

    fn upload(second: i64, owner: Option<&str>) -> StoredResumable {
        let now = DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        StoredResumable {
            id: UploadId::new(now),
            state: ResumableState::Receiving,
            details: UploadDetails {
                route: UploadRoute::Admin,
                file_name: "a.safetensors".into(),
                entity_type: Some("faces".into()),
                use_safe_filename: second % 2 == 0,
            },
            metadata: "filename YQ==".into(),
            length_bytes: 1 << 40,
            offset_bytes: 0,
            owner: owner.map(str::to_owned),
            created_at: now,
            expires_at: now + TimeDelta::hours(24),
        }
    }

    both_databases! {
        async fn an_upload_in_pieces_advances_and_ends(store: Store) {
            let mut first = upload(0, None);
            store.insert_resumable(&first).await.unwrap();
            let later = first.expires_at + TimeDelta::hours(1);
            store.advance_resumable(first.id, 7 << 30, later).await.unwrap();
            (first.offset_bytes, first.expires_at) = (7 << 30, later);
            let by_id = |id| ResumableFilter::Id(id);
            assert_eq!(store.list_resumable(by_id(first.id), 1).await.unwrap(), [first.clone()]);
            assert_eq!(store.list_resumable(ResumableFilter::Open, 9).await.unwrap().len(), 1);
            let failure = StoredFailure { code: "quarantined".into(), text: "why".into(), sha256: Some("00".into()) };
            store.end_resumable(first.id, later, Some(&failure)).await.unwrap();
            first.state = ResumableState::Failed(failure);
            assert_eq!(store.list_resumable(by_id(first.id), 1).await.unwrap(), [first.clone()]);
            store.end_resumable(first.id, later, None).await.unwrap();
            first.state = ResumableState::Done;
            assert_eq!(store.list_resumable(by_id(first.id), 1).await.unwrap(), [first.clone()]);
            assert!(store.list_resumable(ResumableFilter::Open, 9).await.unwrap().is_empty());
            store.delete_resumable(first.id).await.unwrap();
            assert!(store.list_resumable(by_id(first.id), 1).await.unwrap().is_empty());
        }

        async fn uploads_in_pieces_are_found_by_owner_and_by_age(store: Store) {
            let all = [upload(0, Some("ann")), upload(1, None), upload(2, Some("bob"))];
            for upload in &all {
                store.insert_resumable(upload).await.unwrap();
            }
            let found = store.list_resumable(ResumableFilter::Of(Some("ann")), 9).await.unwrap();
            assert_eq!(found, [all[0].clone()]);
            let found = store.list_resumable(ResumableFilter::Of(None), 2).await.unwrap();
            assert_eq!(found, [all[2].clone(), all[1].clone()]);
            let expired = store.list_resumable(ResumableFilter::ExpiredAt(all[1].expires_at), 9).await.unwrap();
            assert_eq!(expired, [all[1].clone(), all[0].clone()]);
        }
    }
}
