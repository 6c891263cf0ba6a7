//! One client, three ways to a server: another machine over HTTP, the server that runs on this data folder through its
//! socket, or, when none runs, the same application in this process. Commands cannot tell them apart.

mod local;
mod remote;
mod socket;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use lorakeep_registry::config::{Config, ValueOrigin};

pub(crate) use local::cannot_open;

use crate::args::GlobalArgs;
use crate::commands::config::load;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// No answer of the API is near this; what is longer comes from something else.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// A command that ends, or a server that starts, holds the lock before or after it answers on the socket.
const HANDOVER: std::time::Duration = std::time::Duration::from_secs(3);
const HANDOVER_STEP: std::time::Duration = std::time::Duration::from_millis(50);

/// A way to a server.
pub(crate) struct Connection {
    transport: Transport,
}

enum Transport {
    Remote(remote::Remote),
    /// With the settings that were given to this command and do not reach that server.
    Socket(socket::Socket, Vec<&'static str>),
    Local(Box<local::Local>),
}

/// What goes wrong while a body comes.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An answer whose body is still coming.
pub(crate) struct Streamed {
    response: http::Response<UnsyncBoxBody<Bytes, BoxError>>,
    whom: String,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: http::StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Finds the server to talk to, in the order of the help text.
    pub(crate) async fn open(global: &GlobalArgs, output: &Output) -> Result<Self> {
        if let Some(server) = global.connection.server.as_deref().filter(|server| !server.is_empty()) {
            let key = global.connection.key.as_deref().filter(|key| !key.is_empty());
            let remote = remote::Remote::new(server, key)?;
            output.detail(&format!("talking to `{}`", remote.base()));
            return Ok(Self { transport: Transport::Remote(remote) });
        }
        let config = load(&global.configuration)?;
        let transport = find_on_this_machine(config, output).await?;
        Ok(Self { transport })
    }

    /// Whether the work is done by this process, and ends with it.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.transport, Transport::Local(_))
    }

    /// Starts the background work (downloads) when it is this process that has to do it.
    pub(crate) fn start_work(&self) {
        if let Transport::Local(local) = &self.transport {
            local.start();
        }
    }

    /// Lets other commands on this machine in while this process holds the data folder for long.
    pub(crate) fn share(&self) {
        if let Transport::Local(local) = &self.transport {
            local.share();
        }
    }

    /// Sends one request, and leaves the body of the answer to be read as it comes. `request` has a path and query, but
    /// neither scheme nor host.
    pub(crate) async fn open_answer(&self, request: http::Request<Bytes>) -> Result<Streamed> {
        match &self.transport {
            Transport::Remote(remote) => remote.send(request).await,
            Transport::Socket(socket, _) => socket.send(request).await,
            Transport::Local(local) => local.send(request).await,
        }
    }

    /// Ends what this process opened; running transfers are parked, nothing of them is lost.
    pub(crate) async fn close(self) {
        if let Transport::Local(local) = self.transport {
            local.close().await;
        }
    }

    /// Settings of upstreams that were given to this command while another process does the work by its own.
    pub(crate) fn settings_without_effect(&self) -> &[&'static str] {
        match &self.transport {
            Transport::Socket(_, settings) => settings,
            Transport::Remote(_) | Transport::Local(_) => &[],
        }
    }

    /// The server does not let us in.
    pub(crate) fn unauthorized(&self) -> Failure {
        match &self.transport {
            Transport::Remote(remote) if !remote.has_key() => Failure::new("the server wants a key")
                .hint("pass its admin key with --key or LORAKEEP_KEY"),
            Transport::Remote(_) => Failure::new("the server does not accept the key").hint(
                "check --key or LORAKEEP_KEY: the key was printed at the server's first start, or is the API_KEY \
                 that it was started with",
            ),
            Transport::Socket(..) | Transport::Local(_) => {
                Failure::new("the server on the data folder wants a key, which a lorakeep server there does not")
                    .hint("does another program listen on its socket?")
            }
        }
    }
}

/// The variables and flags by which this command, and not the data folder's file, was told of upstreams.
fn settings_of_this_command(config: &Config) -> Vec<&'static str> {
    let is_upstream =
        |name: &str| ["civitai.", "huggingface.", "comfyui."].iter().any(|group| name.starts_with(group));
    let given = config.shown().iter().filter(|setting| is_upstream(setting.name));
    given
        .filter_map(|setting| match setting.origin {
            ValueOrigin::Flag => setting.flag,
            ValueOrigin::Environment => setting.environment,
            ValueOrigin::File | ValueOrigin::Default => None,
        })
        .collect()
}

/// Whether a server answers on the socket of that data folder.
pub(crate) async fn server_runs(config: &Config) -> Result<bool> {
    Ok(socket::Socket::connect(&config.socket_path()).await?.is_some())
}

/// The server on the data folder, or the data folder itself. Whoever holds the lock without answering gets a moment: it
/// is either about to leave or about to listen.
async fn find_on_this_machine(config: Config, output: &Output) -> Result<Transport> {
    let path = config.socket_path();
    let deadline = tokio::time::Instant::now() + HANDOVER;
    loop {
        if let Some(socket) = socket::Socket::connect(&path).await? {
            output.detail(&format!("talking to the server on `{}`", path.display()));
            return Ok(Transport::Socket(socket, settings_of_this_command(&config)));
        }
        match local::Local::open(config.clone(), output).await? {
            local::Opened::Open(local) => {
                output.detail(&format!(
                    "no server runs on `{}`, working on it here",
                    config.data_dir.display()
                ));
                return Ok(Transport::Local(local));
            }
            local::Opened::Locked(failure) if tokio::time::Instant::now() >= deadline => return Err(failure),
            local::Opened::Locked(_) => tokio::time::sleep(HANDOVER_STEP).await,
        }
    }
}

impl Streamed {
    /// Whatever it comes through.
    fn new<B>(response: http::Response<B>, whom: impl Into<String>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { response: response.map(|body| body.map_err(Into::into).boxed_unsync()), whom: whom.into() }
    }

    /// Whether the request was granted.
    pub(crate) fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|error| broke_off(&self.whom, error.as_ref()))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads it to its end.
    pub(crate) async fn whole(self) -> Result<Answer> {
        let (parts, body) = self.response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| broke_off(&self.whom, error.as_ref()))?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

fn broke_off(whom: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(format!("the answer of {whom} broke off")).caused_by(error)
}
