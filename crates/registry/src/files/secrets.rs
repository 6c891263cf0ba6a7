//! The file of secrets that were set while the server ran: JSON, for its owner alone (mode 0600), replaced whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

const OWNER_ALONE: u32 = 0o600;

/// What the file holds; nothing when there is none. A file that others may read is closed to them.
pub(crate) fn read_secrets(path: &Path) -> io::Result<BTreeMap<String, SecretString>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read the file of secrets; it is closed to them now");
        fs::set_permissions(path, Permissions::from_mode(OWNER_ALONE))?;
    }
    let secrets: BTreeMap<String, String> = serde_json::from_str(&text)?;
    Ok(secrets.into_iter().map(|(name, secret)| (name, secret.into())).collect())
}

/// Replaces the file.
pub(crate) fn write_secrets(path: &Path, secrets: &BTreeMap<String, SecretString>) -> io::Result<()> {
    let exposed: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret())).collect();
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_new(&beside, &serde_json::to_vec_pretty(&exposed)?)
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| File::open(path.parent().ok_or(ErrorKind::InvalidInput)?)?.sync_all());
    if written.is_err() {
        // Best effort: what happened before is what to tell.
        drop(fs::remove_file(&beside));
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a killed process left may have another mode.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ALONE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_and_the_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        assert!(read_secrets(&path).unwrap().is_empty());
        write_secrets(&path, &BTreeMap::from([("A".to_owned(), "one".into())])).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = read_secrets(&path).unwrap();
        assert_eq!((read["A"].expose_secret(), mode()), ("one", 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
