//! One connection from accept to close.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::Peer;
use super::body::{PacedBody, TrackedBody};
use super::connections::{Phase, Place, Watch};
use super::guard::GuardedStream;
use super::limits::Limits;

/// Most bytes that are read and thrown away for a client that still sends after its refusal.
const MAX_LINGER_BYTES: usize = 4 << 20;

/// What every connection of a server shares.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) shutdown: CancellationToken,
}

/// Serves `stream` until it ends, is cut, or the server stops.
pub(super) async fn serve<S>(stream: S, peer: Peer, place: Place, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = Arc::clone(&place.watch);
    let unread = Arc::new(AtomicBool::new(false));
    let service = Answering {
        shared: Arc::clone(&shared),
        peer,
        watch: Arc::clone(&watch),
        unread: Arc::clone(&unread),
    };
    let stream = TokioIo::new(GuardedStream::new(stream, Arc::clone(&watch)));
    let mut connection = http_builder(&shared.limits).serve_connection(stream, service);
    let mut is_closing = false;
    let outcome = loop {
        tokio::select! {
            biased;
            () = watch.is_cut() => return,
            () = shared.shutdown.cancelled(), if !is_closing => {
                is_closing = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            outcome = poll_fn(|context| connection.poll_without_shutdown(context)) => break outcome,
        }
    };
    if let Err(error) = &outcome {
        tracing::debug!(%error, "a connection ended early");
    }
    let must_linger = outcome.is_err() || unread.load(Ordering::Relaxed);
    let stream = connection.into_parts().io.into_inner().into_inner();
    tokio::select! {
        () = watch.is_cut() => {}
        () = close(stream, must_linger, shared.limits.linger) => {}
    }
}

fn http_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None) // the table of connections keeps the time
        .max_headers(limits.max_headers)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(64 * 1024));
    builder
}

/// Closes our half; a client that may still be sending gets a moment, since closing at once would make its system
/// throw away our answer.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, must_linger: bool, linger: Duration) {
    if stream.shutdown().await.is_err() || !must_linger {
        return;
    }
    let drain = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut left = MAX_LINGER_BYTES;
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // Whether the client stopped by itself or ran out of time: the connection is closed now.
    let _ = tokio::time::timeout(linger, drain).await;
}

/// hyper's view of the router: marks what the connection does, and guards the body.
struct Answering {
    shared: Arc<Shared>,
    peer: Peer,
    watch: Arc<Watch>,
    unread: Arc<AtomicBool>,
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.watch.enter(Phase::Busy);
        let must_close = request.headers().contains_key(TRANSFER_ENCODING);
        let refusal = refusal(request.method(), request.headers());
        let mut request = request.map(|body| {
            let limits = &self.shared.limits;
            PacedBody::new(body, limits.body_timeout, limits.min_body_bytes, Arc::clone(&self.unread))
        });
        request.extensions_mut().insert(self.peer);
        let (mut router, watch) = (self.shared.router.clone(), Arc::clone(&self.watch));
        Box::pin(async move {
            let mut response = match refusal {
                Some(refusal) => refusal,
                None => router.call(request).await?,
            };
            if must_close {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| TrackedBody::new(body, watch)))
        })
    }
}

/// What no handler should ever see: no host or several (RFC 9112 section 3.2), and tunnels.
fn refusal(method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    let detail = match headers.get_all(HOST).iter().count() {
        _ if method == Method::CONNECT => "this server opens no tunnels",
        0 => "the request has no `Host` header",
        1 => return None,
        _ => "the request has more than one `Host` header",
    };
    let mut response = Response::new(Body::from(format!(r#"{{"detail":"{detail}"}}"#)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(response)
}
