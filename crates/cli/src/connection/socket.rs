//! The server that runs on this data folder, through its socket: the same HTTP, trusted as admin.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;
use http::header::HOST;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Streamed;
use crate::failure::{Failure, Result};

/// A socket that somebody listens on.
pub(super) struct Socket {
    path: PathBuf,
}

impl Socket {
    /// `None` when nobody listens: there is no socket, or it is what a killed server left behind.
    pub(super) async fn connect(path: &Path) -> Result<Option<Self>> {
        match UnixStream::connect(path).await {
            Ok(_) => Ok(Some(Self { path: path.to_owned() })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            // A path that is too long for a socket never had one; a server there listens on its address only.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Failure::new(format!(
                "the server on this data folder belongs to another user: `{}` may not be opened",
                path.display()
            ))
            .caused_by(&error)
            .hint("run the command as that user, or use --server and --key")),
            Err(error) => {
                Err(Failure::new(format!("cannot open the socket `{}`", path.display())).caused_by(&error))
            }
        }
    }

    /// One connection a request: they are cheap here, and a restarted server is met at once.
    pub(super) async fn send(&self, mut request: http::Request<Bytes>) -> Result<Streamed> {
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        let stream = UnixStream::connect(&self.path).await.map_err(|error| self.gone(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.gone(&error))?;
        // It ends with its sender and the answer; an error on the way down says nothing that the answer has not said.
        tokio::spawn(connection);
        let response = sender.send_request(request.map(Full::new)).await;
        Ok(Streamed::new(response.map_err(|error| self.gone(&error))?, "the server"))
    }

    fn gone(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::new(format!("the server on `{}` went away", self.path.display()))
            .caused_by(error)
            .hint("look at its log, and start it again with `lorakeep serve`")
    }
}
