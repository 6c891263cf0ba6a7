//! What the server listens on: TCP addresses, and the socket in the data folder.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The listeners of one server, bound.
#[derive(Debug, Default)]
pub struct Listeners {
    tcp: Vec<TcpListener>,
    socket: Option<LocalSocket>,
}

impl Listeners {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a TCP address; port 0 lets the system choose. Errors name the address.
    pub async fn with_tcp(mut self, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on `{address}`: {error}"))
        })?;
        self.tcp.push(listener);
        Ok(self)
    }

    /// Adds the socket of the data folder.
    #[must_use]
    pub fn with_socket(mut self, socket: LocalSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    /// The TCP addresses as bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    pub(super) fn into_parts(self) -> (Vec<TcpListener>, Option<LocalSocket>) {
        (self.tcp, self.socket)
    }
}

/// A Unix socket that only the owner of the data folder can reach (mode 0600); removed from the disk when dropped.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl LocalSocket {
    /// Binds `path`. A socket that nobody answers on is replaced; anything else in its place is an error.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let explained = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on the socket `{}`: {error}", path.display()))
        };
        remove_stale(&path).map_err(explained)?;
        let listener = bind_private(&path).map_err(explained)?;
        let inode = std::fs::symlink_metadata(&path).map_err(explained)?.ino();
        Ok(Self { listener, path, inode })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Only what is still ours; when it cannot be removed, the next start replaces it.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that a killed server left behind.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is not a socket is in its place",
        ));
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers on it")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Binds so that the socket is never open to others, not even for a moment: Linux gives the file the mode of the
/// unbound socket.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    use rustix::fs::Mode;
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

    let address = SocketAddrUnix::new(path)?;
    let unbound = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    let owner_only = Mode::RUSR | Mode::WUSR;
    #[cfg(target_os = "linux")]
    rustix::fs::fchmod(&unbound, owner_only)?;
    bind(&unbound, &address)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(owner_only.bits()))?;
    listen(&unbound, 128)?;
    let listener = std::os::unix::net::UnixListener::from(unbound);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_belongs_to_its_owner_alone_and_goes_with_the_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lorakeep.sock");
        let socket = LocalSocket::bind(&path).expect("bound");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lorakeep.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        let live = LocalSocket::bind(&path).expect("the stale one is replaced");
        let refused = LocalSocket::bind(&path).expect_err("somebody answers");
        assert!(refused.to_string().contains("another server answers on it"), "{refused}");
        drop(live);
    }

    #[tokio::test]
    async fn a_file_or_a_link_in_its_place_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, b"mine").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        for path in [&file, &link] {
            assert!(LocalSocket::bind(path).is_err());
        }
        assert_eq!(std::fs::read(&file).expect("still there"), b"mine");
    }
}
