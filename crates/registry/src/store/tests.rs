//! The store on both databases.

use std::sync::Arc;

use chrono::{TimeDelta, TimeZone, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::bin::{BinFilter, BinRoot, BinState, StoredBinItem};
use super::testing::{PostgresSchema, both_databases};
use super::{Db, Store};
use crate::domain::{
    BinItemId, CatalogName, Category, Entry, EntryDocument, EntryId, FileFact, FileStamp, ModelPath, Sha256,
};
use crate::library::{CatalogChange, CatalogHead, Library, Placed, PlacedCategory};

fn entry(number: u128, catalog: CatalogName, document: Value) -> Arc<Entry> {
    let Value::Object(fields) = document else { panic!("an object") };
    let id = EntryId(Uuid::from_u128(number));
    Arc::new(Entry::from_document(id, catalog, "vae", EntryDocument::from(fields)).unwrap())
}

fn change(entries: &[Arc<Entry>]) -> CatalogChange {
    let head = CatalogHead { version: 7, date: "2026-01-02 03:04".to_owned(), ..CatalogHead::default() };
    let placed = |(position, entry): (usize, &Arc<Entry>)| Placed {
        entry: Arc::clone(entry),
        position: position as i64,
        changed_version: 7,
    };
    CatalogChange {
        categories: vec![PlacedCategory { category: Category::new("vae", "VAE"), position: 3 }],
        entries: entries.iter().enumerate().map(placed).collect(),
        ..CatalogChange::of(CatalogName::Models, head)
    }
}

async fn reread(store: &Store) -> Library {
    let mut library = Library::default();
    for change in store.load_catalogs().await.unwrap() {
        library.apply(change);
    }
    library
}

fn path(dest: &str, file: &str) -> ModelPath {
    ModelPath::parse(dest, file).unwrap()
}

fn item(number: u128, hours: i64, state: BinState) -> StoredBinItem {
    StoredBinItem {
        id: BinItemId(Uuid::from_u128(number)),
        path: path("vae", "a.pt"),
        root: BinRoot::Data,
        bin_path: "bin/models/vae/a.pt".to_owned(),
        size_bytes: 10,
        sha256: Some(Sha256::of(b"a")),
        state,
        deleted_at: Utc.timestamp_opt(1_700_000_000, 123_456_000).unwrap() + TimeDelta::hours(hours),
    }
}

both_databases! {
    async fn entries_come_back_with_fields_and_numbers_as_they_were(store: Store) {
        let document = json!({"zeta": 1, "file": "a.pt", "dest": "vae", "size_gb": 4.0, "alpha": [0.067, "é", null]});
        let entries = [entry(1, CatalogName::Models, document.clone())];
        store.apply_catalog_changes(&[change(&entries)], None).await.unwrap();
        let library = reread(&store).await;
        let catalog = library.catalog(CatalogName::Models);
        assert_eq!((catalog.head.version, catalog.head.date.as_str()), (7, "2026-01-02 03:04"));
        assert_eq!(catalog.categories[0].category, Category::new("vae", "VAE"));
        let found = library.find("a.pt", Some("vae")).unwrap();
        assert_eq!(**found, *entries[0]);
        assert_eq!(found.document.to_stored(), document.to_string());
    }

    async fn a_change_replaces_moves_and_removes_entries(store: Store) {
        let document = |file: &str, name: &str| json!({"file": file, "dest": "vae", "name": name});
        let names: Vec<_> = (0..1200_u128)
            .map(|number| entry(number, CatalogName::Models, document(&format!("{number}.pt"), "old")))
            .collect();
        store.apply_catalog_changes(&[change(&names)], None).await.unwrap();
        let renamed = entry(5, CatalogName::Models, document("5.pt", "new"));
        let mut second = change(&[renamed]);
        second.removed = names[10..].iter().map(|entry| entry.id).collect();
        store.apply_catalog_changes(&[second], None).await.unwrap();
        let library = reread(&store).await;
        let order: Vec<&str> =
            library.catalog(CatalogName::Models).entries().map(|entry| entry.document.name()).collect();
        assert_eq!(order.len(), 10);
        assert_eq!(order[1], "new", "5 moved to position 0, after the entry that has it already");
    }

    async fn two_entries_of_one_path_are_refused_whole(store: Store) {
        let document = json!({"file": "a.pt", "dest": "vae"});
        let twins = [entry(1, CatalogName::Models, document.clone()), entry(2, CatalogName::Models, document)];
        assert!(store.apply_catalog_changes(&[change(&twins)], None).await.is_err());
        assert!(store.load_catalogs().await.unwrap().is_empty(), "nothing of the change stays");
    }

    async fn a_face_is_remembered(store: Store) {
        store.apply_catalog_changes(&[change(&[])], None).await.unwrap();
        store.save_face(CatalogName::Models, 6, "ab").await.unwrap();
        let head = reread(&store).await.catalog(CatalogName::Models).head.clone();
        assert_eq!((head.version, head.face_version, head.face_sha256.as_deref()), (7, 6, Some("ab")));
    }

    async fn files_are_kept_changed_and_forgotten(store: Store) {
        let stamp = FileStamp { size_bytes: 1 << 40, modified_ns: -5, inode: u64::MAX };
        let now = Utc.timestamp_opt(1_700_000_000, 123_456_000).unwrap();
        let hashed = FileFact::hashed(stamp, Sha256::of(b"x"), Some(Sha256::of(b"y")), now);
        let (first, second) = (path("vae", "a.pt"), path("", "b.pt"));
        let seen = [(first.clone(), hashed), (second.clone(), FileFact::unverified(stamp))];
        store.save_files(&seen, &[]).await.unwrap();
        let mut known = store.list_files().await.unwrap();
        known.sort_by(|one, other| other.0.cmp(&one.0));
        assert_eq!(known, seen);
        let changed = [(second.clone(), hashed)];
        store.save_files(&changed, &[first]).await.unwrap();
        assert_eq!(store.list_files().await.unwrap(), changed);
    }

    async fn settings_are_set_together_and_inserted_once(store: Store) {
        store.save_settings(&[("a", "1".to_owned()), ("b", "2".to_owned())]).await.unwrap();
        store.save_settings(&[("a", "3".to_owned())]).await.unwrap();
        assert!(!store.insert_setting("b", "9").await.unwrap());
        assert!(store.insert_setting("c", "4").await.unwrap());
        let settings: Vec<_> = store.list_settings().await.unwrap().into_iter().collect();
        let expected = [("a", "3"), ("b", "2"), ("c", "4")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings, expected);
    }

    async fn bin_items_are_listed_by_age_and_state(store: Store) {
        let items = [item(1, 0, BinState::Kept), item(2, 1, BinState::Kept), item(3, 2, BinState::MovingIn)];
        for item in &items {
            store.insert_bin_item(item).await.unwrap();
        }
        assert_eq!(store.list_bin(BinFilter::All).await.unwrap(), items[..2]);
        assert_eq!(store.list_bin(BinFilter::Unsettled).await.unwrap(), items[2..]);
        let until = items[0].deleted_at;
        assert_eq!(store.list_bin(BinFilter::DeletedUntil(until)).await.unwrap(), items[..1]);
        assert_eq!(store.bin_sums().await.unwrap(), (2, 20));
        store.set_bin_state(items[2].id, BinState::Kept).await.unwrap();
        store.delete_bin_item(items[0].id).await.unwrap();
        assert_eq!(store.bin_sums().await.unwrap(), (2, 20));
        assert_eq!(store.find_bin_item(items[0].id).await.unwrap(), None);
        assert_eq!(store.find_bin_item(items[2].id).await.unwrap().unwrap().state, BinState::Kept);
    }

    async fn bin_pages_meet_every_item_once_newest_first(store: Store) {
        for number in 0..7 {
            store.insert_bin_item(&item(number, (number / 2) as i64, BinState::Kept)).await.unwrap();
        }
        let (mut numbers, mut after) = (Vec::new(), None);
        loop {
            let page = store.list_bin_page(after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.deleted_at, last.id));
            numbers.extend(page.iter().map(|item| item.id.0.as_u128()));
        }
        assert_eq!(numbers, [6, 5, 4, 3, 2, 1, 0]);
    }
}

/// Tables, columns, nullability and indexes as both databases describe them.
async fn shape_of(store: &Store) -> Vec<String> {
    let rows: Vec<(String, String, String)> = match &store.read {
        Db::Sqlite(pool) => {
            let columns = "SELECT 'column', t.name || '.' || c.name, CASE WHEN c.\"notnull\" = 1 THEN 'no' ELSE 'yes' END
                FROM sqlite_schema t, pragma_table_info(t.name) c
                WHERE t.type = 'table' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\' AND t.name NOT LIKE 'sqlite%'
                UNION ALL SELECT 'index', name, '' FROM sqlite_schema
                WHERE type = 'index' AND name NOT LIKE 'sqlite%'";
            sqlx::query_as(columns).fetch_all(pool).await.unwrap()
        }
        Db::Postgres(pool) => {
            let columns = "SELECT 'column', table_name || '.' || column_name, lower(is_nullable)
                FROM information_schema.columns
                WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_sqlx%'
                UNION ALL SELECT 'index', indexname::text, '' FROM pg_indexes
                WHERE schemaname = current_schema() AND indexname NOT LIKE '%\\_pkey'";
            sqlx::query_as(columns).fetch_all(pool).await.unwrap()
        }
    };
    let mut shape: Vec<String> =
        rows.into_iter().map(|(kind, name, nullable)| format!("{kind} {name} {nullable}")).collect();
    shape.sort();
    shape
}

#[tokio::test]
async fn both_migration_folders_make_the_same_schema() {
    let Some(schema) = PostgresSchema::create().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Store::open_sqlite(&folder.path().join("lorakeep.db")).await.unwrap();
    let postgres = Store::open_postgres(&schema.url).await.unwrap();
    let shapes = (shape_of(&sqlite).await, shape_of(&postgres).await);
    assert!(shapes.0.len() >= 40, "{:?}", shapes.0);
    assert_eq!(shapes.0, shapes.1);
    postgres.close().await;
    schema.drop().await;
}

/// Pretends that a later version migrated further.
const FROM_THE_FUTURE: &str =
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    SELECT 9999, 'later', success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";

#[tokio::test]
async fn a_newer_schema_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lorakeep.db");
    let store = Store::open_sqlite(&path).await.unwrap();
    super::on_db!(&store.write, pool => sqlx::query(FROM_THE_FUTURE).execute(pool).await.map(drop)).unwrap();
    store.close().await;
    let error = Store::open_sqlite(&path).await.expect_err("newer");
    assert_eq!(error.code(), "database_newer");
    assert!(error.to_string().contains("schema 9999"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lorakeep.db");
    let garbage = b"this is not a database, but it may be somebody's only copy".repeat(100);
    std::fs::write(&path, &garbage).unwrap();
    let error = Store::open_sqlite(&path).await.expect_err("damaged");
    assert_eq!(error.code(), "database_damaged");
    assert_eq!(std::fs::read(&path).unwrap(), garbage);
}

#[tokio::test]
async fn the_database_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lorakeep.db");
    let store = Store::open_sqlite(&path).await.unwrap();
    store.save_settings(&[("a", "1".to_owned())]).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    store.close().await;
}
