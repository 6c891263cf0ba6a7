//! The tags of CivitAI that are known here.

use chrono::{DateTime, Utc};

use super::{Store, on_db};
use crate::error::Result;

const LIST: &str = "SELECT name, tag_id, kind, position, synced_at FROM civitai_tags ORDER BY position, name";
const COUNT: &str = "SELECT COUNT(*) FROM civitai_tags";
const SAVE: &str = "INSERT INTO civitai_tags (name, tag_id, kind, position, synced_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name) DO UPDATE SET tag_id = coalesce(excluded.tag_id, civitai_tags.tag_id),
        kind = coalesce(excluded.kind, civitai_tags.kind), position = excluded.position, synced_at = excluded.synced_at";

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StoredTag {
    pub(crate) name: String,
    pub(crate) tag_id: Option<i64>,
    pub(crate) kind: Option<String>,
    /// Order in which the site lists them.
    pub(crate) position: i64,
    pub(crate) synced_at: DateTime<Utc>,
}

impl Store {
    /// All of them, in the site's order.
    pub(crate) async fn list_tags(&self) -> Result<Vec<StoredTag>> {
        Ok(on_db!(&self.read, pool => sqlx::query_as(LIST).fetch_all(pool).await)?)
    }

    /// How many are known.
    pub(crate) async fn count_tags(&self) -> Result<i64> {
        Ok(on_db!(&self.read, pool => sqlx::query_scalar(COUNT).fetch_one(pool).await)?)
    }

    /// Adds tags or takes over what is new of them; what was known of one stays.
    pub(crate) async fn save_tags(&self, tags: &[StoredTag]) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for tag in tags {
                sqlx::query(SAVE)
                    .bind(&tag.name)
                    .bind(tag.tag_id)
                    .bind(&tag.kind)
                    .bind(tag.position)
                    .bind(tag.synced_at)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::both_databases;

    both_databases! {
        async fn tags_keep_what_was_known_of_them(store: Store) {
            let tag = |name: &str, tag_id, position| StoredTag {
                name: name.into(),
                tag_id,
                kind: None,
                position,
                synced_at: DateTime::from_timestamp(position, 0).unwrap(),
            };
            store.save_tags(&[tag("b", Some(7), 1), tag("a", None, 2)]).await.unwrap();
            store.save_tags(&[tag("b", None, 3)]).await.unwrap();
            assert_eq!(store.list_tags().await.unwrap(), [tag("a", None, 2), tag("b", Some(7), 3)]);
            assert_eq!(store.count_tags().await.unwrap(), 2);
        }
    }
}
