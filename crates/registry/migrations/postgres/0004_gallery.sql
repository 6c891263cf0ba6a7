-- The gallery. The records beside the files are the truth; this is their index.

CREATE TABLE gallery_images (
    image_id BIGINT NOT NULL PRIMARY KEY,
    file_uuid TEXT,
    model_id BIGINT NOT NULL,
    is_starred BOOLEAN NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX gallery_images_by_model ON gallery_images (model_id, image_id);
CREATE INDEX gallery_images_by_uuid ON gallery_images (file_uuid);

CREATE TABLE gallery_previews (
    model_id BIGINT NOT NULL PRIMARY KEY,
    image_id BIGINT NOT NULL
);
