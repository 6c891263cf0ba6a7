//! One process a data folder: a lock that dies with its holder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::io_error;
use crate::error::{Error, Result};

/// The lock of a data folder, held until it is dropped (or the process dies, however it dies).
#[derive(Debug)]
pub(crate) struct DataLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DataLock {
    /// Takes the lock; `Conflict` (`data_dir_locked`) names the process that holds it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("lorakeep.lock");
        let failed =
            |error: io::Error| io_error(&format!("the lock `{}` cannot be taken", path.display()), error);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(locked(data_dir, &mut file)),
            Err(error) => return Err(failed(error.into())),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self(file))
    }
}

/// The process id stands in the file for people and for the error below; the lock itself is the kernel's.
fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn locked(data_dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let holder = match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "another process".to_owned(),
    };
    let message = format!(
        "the data folder `{}` is in use by {holder}; stop it, or give this one another `--data-dir`",
        data_dir.display()
    );
    Error::conflict("data_dir_locked", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_holder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataLock::take(folder.path()).unwrap();
        let error = DataLock::take(folder.path()).expect_err("held");
        assert_eq!(error.code(), "data_dir_locked");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        DataLock::take(folder.path()).unwrap();
    }
}
