-- The gallery. The records beside the files are the truth; this is their index.

CREATE TABLE gallery_images (
    image_id INTEGER NOT NULL PRIMARY KEY,
    file_uuid TEXT,
    model_id INTEGER NOT NULL,
    is_starred INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX gallery_images_by_model ON gallery_images (model_id, image_id);
CREATE INDEX gallery_images_by_uuid ON gallery_images (file_uuid);

CREATE TABLE gallery_previews (
    model_id INTEGER NOT NULL PRIMARY KEY,
    image_id INTEGER NOT NULL
) STRICT;
