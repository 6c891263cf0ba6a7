//! The index of the gallery.

use super::{Store, on_db};
use crate::error::Result;

const LOAD: &str = "SELECT document FROM gallery_images WHERE image_id = $1";
const BY_UUID: &str = "SELECT document FROM gallery_images WHERE file_uuid = $1 ORDER BY image_id LIMIT 1";
const LIST: &str =
    "SELECT document FROM gallery_images WHERE model_id = $1 AND (is_starred OR $2) ORDER BY image_id";
const COUNT: &str = "SELECT COUNT(*) FROM gallery_images";
const SAVE: &str = "INSERT INTO gallery_images (image_id, file_uuid, model_id, is_starred, document) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (image_id) DO UPDATE SET file_uuid = excluded.file_uuid, model_id = excluded.model_id,
        is_starred = excluded.is_starred, document = excluded.document";
const DELETE: &str = "DELETE FROM gallery_images WHERE image_id = $1";
const DELETE_PREVIEW: &str = "DELETE FROM gallery_previews WHERE image_id = $1";
const LOAD_PREVIEW: &str = "SELECT image_id FROM gallery_previews WHERE model_id = $1";
const SAVE_PREVIEW: &str = "INSERT INTO gallery_previews (model_id, image_id) VALUES ($1, $2)
    ON CONFLICT (model_id) DO UPDATE SET image_id = excluded.image_id";

/// One image as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredImage {
    pub(crate) image_id: i64,
    pub(crate) file_uuid: Option<String>,
    /// 0 when it is not known.
    pub(crate) model_id: i64,
    pub(crate) is_starred: bool,
    /// The whole record, JSON.
    pub(crate) document: String,
}

impl Store {
    /// The record of one image.
    pub(crate) async fn load_image(&self, image_id: i64) -> Result<Option<String>> {
        let row: Option<(String,)> =
            on_db!(&self.read, pool => sqlx::query_as(LOAD).bind(image_id).fetch_optional(pool).await)?;
        Ok(row.map(|(document,)| document))
    }

    /// The record of an image whose file has that name at the image host.
    pub(crate) async fn load_image_of_uuid(&self, uuid: &str) -> Result<Option<String>> {
        let row: Option<(String,)> =
            on_db!(&self.read, pool => sqlx::query_as(BY_UUID).bind(uuid).fetch_optional(pool).await)?;
        Ok(row.map(|(document,)| document))
    }

    /// The records of a model's images, by id.
    pub(crate) async fn list_images(&self, model_id: i64, only_starred: bool) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = on_db!(&self.read, pool => {
            sqlx::query_as(LIST).bind(model_id).bind(!only_starred).fetch_all(pool).await
        })?;
        Ok(rows.into_iter().map(|(document,)| document).collect())
    }

    /// How many images there are.
    pub(crate) async fn count_images(&self) -> Result<i64> {
        let (count,): (i64,) = on_db!(&self.read, pool => sqlx::query_as(COUNT).fetch_one(pool).await)?;
        Ok(count)
    }

    /// Adds or replaces a record.
    pub(crate) async fn save_image(&self, image: &StoredImage) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE)
                .bind(image.image_id)
                .bind(&image.file_uuid)
                .bind(image.model_id)
                .bind(image.is_starred)
                .bind(&image.document)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Takes an image out; it is no preview any more either.
    pub(crate) async fn delete_image(&self, image_id: i64) -> Result<()> {
        on_db!(&self.write, pool => {
            let mut transaction = pool.begin().await?;
            for statement in [DELETE, DELETE_PREVIEW] {
                sqlx::query(statement).bind(image_id).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// The image that a user chose to stand for a model.
    pub(crate) async fn load_preview(&self, model_id: i64) -> Result<Option<i64>> {
        let row: Option<(i64,)> = on_db!(&self.read, pool => sqlx::query_as(LOAD_PREVIEW).bind(model_id).fetch_optional(pool).await)?;
        Ok(row.map(|(image_id,)| image_id))
    }

    /// Lets an image stand for a model.
    pub(crate) async fn save_preview(&self, model_id: i64, image_id: i64) -> Result<()> {
        on_db!(&self.write, pool => {
            sqlx::query(SAVE_PREVIEW).bind(model_id).bind(image_id).execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::both_databases;

    fn image(image_id: i64, is_starred: bool) -> StoredImage {
        let file_uuid = Some(format!("uuid-{image_id}"));
        StoredImage {
            image_id,
            file_uuid,
            model_id: 7,
            is_starred,
            document: format!("{{\"n\":{image_id}}}"),
        }
    }

    both_databases! {
        async fn images_are_found_by_id_uuid_model_and_star(store: Store) {
            for (id, is_starred) in [(3, true), (1, false), (3, true)] {
                store.save_image(&image(id, is_starred)).await.unwrap();
            }
            assert_eq!(store.count_images().await.unwrap(), 2);
            assert_eq!(store.load_image(3).await.unwrap().as_deref(), Some("{\"n\":3}"));
            assert_eq!(store.load_image_of_uuid("uuid-1").await.unwrap().as_deref(), Some("{\"n\":1}"));
            assert_eq!(store.list_images(7, false).await.unwrap(), ["{\"n\":1}", "{\"n\":3}"]);
            assert_eq!(store.list_images(7, true).await.unwrap(), ["{\"n\":3}"]);
        }

        async fn a_deleted_image_is_no_preview_any_more(store: Store) {
            store.save_image(&image(1, false)).await.unwrap();
            store.save_preview(7, 1).await.unwrap();
            assert_eq!(store.load_preview(7).await.unwrap(), Some(1));
            store.delete_image(1).await.unwrap();
            assert_eq!((store.load_preview(7).await.unwrap(), store.load_image(1).await.unwrap()), (None, None));
        }
    }
}
