//! HTTP/1.1 on the wire: our own loop around hyper, since a server that strangers can reach needs time-outs for slow
//! clients, a cap on connections that stays fair, and strict framing.

mod body;
mod connection;
mod connections;
mod guard;
mod head;
mod limits;
mod listeners;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::Shared;
use connections::Connections;
pub use limits::Limits;
pub use listeners::{Listeners, LocalSocket};

/// Where a request comes from; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// From the network, by address.
    Address(IpAddr),
    /// Over the socket in the data folder, or from the same process: trusted as admin.
    Trusted,
}

/// The pause after a failed accept, so that a full file table does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const TOO_BUSY: &str = r#"{"detail":"too many connections, try again in a moment"}"#;

/// Serves `router` on all listeners until `shutdown`; running requests then get [`Limits::shutdown_grace`].
pub(crate) async fn serve(listeners: Listeners, router: Router, limits: Limits, shutdown: CancellationToken) {
    let (tcp, socket) = listeners.into_parts();
    let server = Arc::new(Server {
        shared: Arc::new(Shared { router, limits, shutdown: shutdown.clone() }),
        connections: Connections::new(),
        tasks: TaskTracker::new(),
    });
    let loops = TaskTracker::new();
    for listener in tcp {
        loops.spawn(shutdown.clone().run_until_cancelled_owned(Arc::clone(&server).accept_tcp(listener)));
    }
    if let Some(socket) = socket {
        loops.spawn(shutdown.clone().run_until_cancelled_owned(Arc::clone(&server).accept_local(socket)));
    }
    let sweeper = tokio::spawn(Arc::clone(&server).sweep());
    shutdown.cancelled().await;
    loops.close();
    loops.wait().await;
    server.finish().await;
    sweeper.abort();
}

struct Server {
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    tasks: TaskTracker,
}

impl Server {
    async fn accept_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.welcome_tcp(stream, address),
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    fn welcome_tcp(&self, stream: TcpStream, address: SocketAddr) {
        let address = address.ip().to_canonical();
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        match self.connections.admit(Some(address), &self.shared.limits) {
            Some(place) => {
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn(connection::serve(stream, Peer::Address(address), place, shared));
            }
            None => drop(self.tasks.spawn(refuse(stream))),
        }
    }

    async fn accept_local(self: Arc<Self>, socket: LocalSocket) {
        loop {
            match socket.accept().await {
                Ok(stream) => {
                    let place =
                        self.connections.admit(None, &self.shared.limits).expect("the socket is never full");
                    self.tasks.spawn(connection::serve(
                        stream,
                        Peer::Trusted,
                        place,
                        Arc::clone(&self.shared),
                    ));
                }
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    /// Mostly a full file table: cuts a waiting connection and takes a breath.
    async fn accept_failed(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        tracing::warn!(%error, "a connection could not be accepted");
        self.connections.make_room();
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.shared.limits.sweep_interval());
        loop {
            ticks.tick().await;
            self.connections.sweep(&self.shared.limits);
        }
    }

    /// Waits for running requests, then cuts what is left.
    async fn finish(&self) {
        self.tasks.close();
        if tokio::time::timeout(self.shared.limits.shutdown_grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "cutting connections that did not end in time");
            self.connections.cut_all();
            self.tasks.wait().await;
        }
    }
}

/// Small answers at once; a peer that vanished without a word is noticed within a minute.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_user_timeout(stream, 60_000)?;
    Ok(())
}

/// Tells a client that there is no room, whatever it was going to ask.
async fn refuse(mut stream: TcpStream) {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 2\r\nconnection: close\r\n\r\n{TOO_BUSY}",
        TOO_BUSY.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // A client that does not even take this is not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}
