//! Ids as types, so that a download's id never goes where an entry's is wanted.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::{NoContext, Timestamp, Uuid};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; ids made later sort later.
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// One file that the catalog knows.
    EntryId
}
id! {
    /// One edit, of one entry or of many.
    EditId
}
id! {
    /// One download job.
    DownloadId
}
id! {
    /// One deleted file that can come back.
    BinItemId
}
id! {
    /// One evaluation.
    EvaluationId
}
id! {
    /// One generation of pictures of a style.
    GenerationId
}
id! {
    /// One upload.
    UploadId
}
id! {
    /// One quarantined file: the id of the download or upload that brought it.
    QuarantineId
}
id! {
    /// One folder that was taken over.
    AdoptionId
}

id! {
    /// One team.
    TeamId
}
id! {
    /// One key of a team.
    TeamKeyId
}

/// A UUID version 7 (RFC 9562) of that moment.
fn uuid_at(now: DateTime<Utc>) -> Uuid {
    let seconds = now.timestamp().max(0).unsigned_abs();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}
