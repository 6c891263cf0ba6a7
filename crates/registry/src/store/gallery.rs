//! The index of the gallery.

use super::{Store, on_db};
use crate::error::Result;

const LOAD: &str = "SELECT document FROM gallery_images WHERE image_id = $1";
const BY_UUID: &str = "SELECT document FROM gallery_images WHERE file_uuid = $1 ORDER BY image_id LIMIT 1";
const LIST: &str =
    "SELECT document FROM gallery_images WHERE model_id = $1 AND (is_starred OR $2) ORDER BY image_id";
const COUNT: &str = "SELECT COUNT(*) FROM gallery_images";
const LIST_IDS: &str = "SELECT image_id FROM gallery_images ORDER BY image_id";
const SUMS: &str =
    "SELECT model_id, source, COUNT(*), CAST(SUM(file_size) AS BIGINT), MIN(image_id) FROM gallery_images
    WHERE $1 < 0 OR model_id = $1 GROUP BY model_id, source";
const LIST_PREVIEWS: &str = "SELECT model_id, image_id FROM gallery_previews WHERE $1 < 0 OR model_id = $1";
const SAVE: &str =
    "INSERT INTO gallery_images (image_id, file_uuid, model_id, is_starred, source, file_size, document)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (image_id) DO UPDATE SET file_uuid = excluded.file_uuid, model_id = excluded.model_id,
        is_starred = excluded.is_starred, source = excluded.source, file_size = excluded.file_size,
        document = excluded.document";
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
    /// `original` or `community`.
    pub(crate) source: String,
    /// Bytes.
    pub(crate) file_size: i64,
    /// The whole record, JSON.
    pub(crate) document: String,
}

/// The images of one model and source together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GallerySums {
    pub(crate) model_id: i64,
    pub(crate) source: String,
    pub(crate) count: i64,
    pub(crate) bytes: i64,
    /// The first of them.
    pub(crate) first: i64,
}

impl Store {
    /// The sums of one model, or of all of them.
    pub(crate) async fn gallery_sums(&self, model_id: Option<i64>) -> Result<Vec<GallerySums>> {
        let rows: Vec<(i64, String, i64, i64, i64)> = on_db!(&self.read, pool => {
            sqlx::query_as(SUMS).bind(model_id.unwrap_or(-1)).fetch_all(pool).await
        })?;
        let sums = rows.into_iter().map(|(model_id, source, count, bytes, first)| GallerySums {
            model_id,
            source,
            count,
            bytes,
            first,
        });
        Ok(sums.collect())
    }

    /// Models and the images that users chose for them; of one model, or of all of them.
    pub(crate) async fn list_previews(&self, model_id: Option<i64>) -> Result<Vec<(i64, i64)>> {
        Ok(on_db!(&self.read, pool => {
            sqlx::query_as(LIST_PREVIEWS).bind(model_id.unwrap_or(-1)).fetch_all(pool).await
        })?)
    }

    /// The ids of all images, in order.
    pub(crate) async fn list_image_ids(&self) -> Result<Vec<i64>> {
        Ok(on_db!(&self.read, pool => sqlx::query_scalar(LIST_IDS).fetch_all(pool).await)?)
    }

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
                .bind(&image.source)
                .bind(image.file_size)
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
            source: if image_id > 1 { "original" } else { "community" }.to_owned(),
            file_size: image_id * 10,
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

        async fn images_are_summed_up_by_model_and_source(store: Store) {
            for id in [1, 2, 3] {
                store.save_image(&image(id, false)).await.unwrap();
            }
            store.save_preview(7, 2).await.unwrap();
            let mut sums = store.gallery_sums(None).await.unwrap();
            sums.sort_by_key(|sum| sum.first);
            let sum = |source: &str, count, bytes, first| {
                GallerySums { model_id: 7, source: source.into(), count, bytes, first }
            };
            assert_eq!(sums, [sum("community", 1, 10, 1), sum("original", 2, 50, 2)]);
            assert_eq!(store.gallery_sums(Some(8)).await.unwrap(), []);
            assert_eq!(store.list_previews(None).await.unwrap(), [(7, 2)]);
            assert_eq!(store.list_previews(Some(8)).await.unwrap(), []);
            assert_eq!(store.list_image_ids().await.unwrap(), [1, 2, 3]);
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
