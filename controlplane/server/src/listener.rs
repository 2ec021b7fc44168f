//! Connections: accepted within a number, TLS and heads and calls within a time, ended gently.

mod stall;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use penstock_api::correspondence::PeerAddress;
use penstock_app::sha256_hex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use self::stall::Stalling;
use crate::log::{self, Level, chain};

/// Open connections of one address; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16_384;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole head, and the wait for the next one on a connection that stays open.
pub(crate) const API_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for nodes, which keep their connections: longer than their client keeps one idle.
pub(crate) const NODE_HEAD_TIMEOUT: Duration = Duration::from_secs(100);
/// A whole call with its body; a node's longest wait is half of it.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the other side may take nothing of an answer.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections of strangers that a listener for members serves at a time.
pub(crate) const STRANGERS_MAX: usize = 64;
/// The whole connection of a stranger there: enough for a node to join.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(10);
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// What calls under way get after a signal.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The other side of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Its certificate: SHA-256 of the DER, hex; none where it showed none.
    pub(crate) certificate: Option<Arc<str>>,
    /// The node that had this certificate when the connection began. Whether it still has is to be
    /// asked at each call; who it would be is not to be searched for again.
    pub(crate) node: Option<Arc<str>>,
    /// Its address, where the system says.
    pub(crate) address: Option<IpAddr>,
}

/// What goes on as long as a connection does.
pub(crate) type Attendance = Arc<dyn Fn(&Peer) -> Option<crate::presence::Present> + Send + Sync>;

/// One address with what is behind it.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) router: Router,
    pub(crate) attendance: Attendance,
    pub(crate) head_timeout: Duration,
    /// Room for connections that nobody attends, where those of members need none.
    pub(crate) strangers: Option<Arc<Semaphore>>,
}

/// Listens on an address.
///
/// # Errors
/// One sentence that names the address.
pub(crate) async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("`{setting}`: the address {address} is in use by another process")
        }
        _ => format!("`{setting}`: can't listen on {address}: {error}"),
    })
}

impl Listener {
    /// Serves until `stop` turns true, then lets calls end for [`GRACE`].
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let listener = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            let permit = tokio::select! {
                permit = room.clone().acquire_owned() => permit,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let accepted = tokio::select! {
                accepted = listener.socket.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let (listener, stop) = (listener.clone(), stop.clone());
                    connections.spawn(async move {
                        listener.connection(stream, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    log::line(Level::Warning, "accept_failed", &chain(&error));
                    // Out of descriptors: accepting at once again would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            connections.shutdown().await;
        }
    }

    async fn connection(&self, stream: TcpStream, stop: watch::Receiver<bool>) {
        // A small answer is not to wait for the other side's acknowledgement; best effort.
        let _ = stream.set_nodelay(true);
        let address = stream.peer_addr().ok().map(|address| address.ip());
        let Some(tls) = &self.tls else {
            return self.serve(stream, Peer { address, ..Peer::default() }, stop).await;
        };
        let handshake = TlsAcceptor::from(tls.clone()).accept(stream);
        // Who does not speak TLS, or not in time, gets no answer.
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await else {
            return;
        };
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|certificates| certificates.first());
        let certificate = certificate.map(|certificate| sha256_hex(certificate).into());
        let peer = Peer { certificate, node: None, address };
        self.serve(stream, peer, stop).await;
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        mut peer: Peer,
        stop: watch::Receiver<bool>,
    ) {
        let present = (self.attendance)(&peer);
        peer.node = present.as_ref().map(|present| present.node());
        match &self.strangers {
            Some(room) if present.is_none() => {
                let Ok(_permit) = room.try_acquire() else { return };
                let served = self.answer(stream, peer, stop);
                // Who has not joined by then begins again.
                let _ = tokio::time::timeout(STRANGER_TIMEOUT, served).await;
            }
            Some(_) | None => self.answer(stream, peer, stop).await,
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        peer: Peer,
        mut stop: watch::Receiver<bool>,
    ) {
        let stream = Stalling::new(stream, STALL_TIMEOUT);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            answer(self.router.clone(), request, peer.clone())
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_buf_size(BUFFER_BYTES_MAX);
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        // How a connection ended matters to the other side alone.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

async fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    peer: Peer,
) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    if let Some(address) = peer.address {
        request.extensions_mut().insert(PeerAddress(address));
    }
    request.extensions_mut().insert(peer);
    match tokio::time::timeout(CALL_TIMEOUT, router.oneshot(request)).await {
        Ok(answer) => answer,
        Err(_) => Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}
