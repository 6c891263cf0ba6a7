//! One connection: requests in turn until somebody ends it.

use super::Request;
use super::send::{Next, Pace, send};
use crate::observe::{Seen, Upstream};
use crate::shared::Shared;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Accepts connections until the token is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else { continue };
        let shared = Arc::clone(&shared);
        let stop = stop.clone();
        tokio::spawn(async move {
            // A client that went away is no news; what it got is in the counters.
            let _ = stop.run_until_cancelled(converse(stream, upstream, &shared)).await;
        });
    }
}

async fn converse(mut stream: TcpStream, upstream: Upstream, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    let mut pace = Pace::new();
    while let Some(request) = Request::read(&mut stream, &mut buffer).await? {
        let record = shared.recorder.note(seen(upstream, connection, &request));
        let close_asked =
            request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let (delivery, label) = shared.answer(upstream, request).await;
        let serving = label.map(|label| shared.recorder.begin_file(&record, &label));
        let next =
            send(&mut stream, &delivery, &record, serving.as_ref(), &mut pace, || shared.cap()).await?;
        match next {
            Next::KeepAlive if !close_asked => {}
            Next::KeepAlive | Next::Close => break,
            Next::Reset => return stream.set_zero_linger(),
        }
    }
    Ok(())
}

fn seen(upstream: Upstream, connection: u64, request: &Request) -> Seen {
    let header = |name| request.header(name).map(str::to_owned);
    Seen {
        upstream,
        connection,
        method: request.method.clone(),
        host: header("host").unwrap_or_default(),
        path: request.path.clone(),
        query: request.query.clone(),
        range: header("range"),
        if_range: header("if-range"),
        authorization: header("authorization"),
        user_agent: header("user-agent"),
        headers: request.headers.clone(),
        file: None,
        status: 0,
        bytes_sent: 0,
        at: SystemTime::now(),
    }
}
