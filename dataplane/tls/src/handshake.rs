//! Handshakes, within their limits.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use penstock_reactor::network::Network;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

use crate::client::ClientTls;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::server::ServerTls;
use crate::session::Session;
use crate::stream::TlsStream;

/// Bytes that a peer may send for a handshake in which it shows certificates.
pub const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that a client may send for one in which it is asked for none: its hello, which anybody may
/// begin and never end, and little more.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// The server's side of a handshake, on an accepted stream.
///
/// # Errors
/// It failed, or took longer than `time_max`; the peer was told by an alert where it can be.
pub async fn accept<N: Network>(
    network: &N,
    stream: N::Stream,
    tls: &ServerTls,
    time_max: Duration,
) -> Result<TlsStream<N::Stream>, Failure> {
    let connection = UnbufferedServerConnection::new(tls.config())?;
    let bytes_max = if tls.asks_for_certificates() { HANDSHAKE_BYTES_MAX } else { HELLO_BYTES_MAX };
    handshake(network, stream, Session::Server(connection), (bytes_max, time_max)).await
}

/// The client's side of a handshake, on a stream that was just connected.
///
/// # Errors
/// It failed, or took longer than `time_max`; the peer was told by an alert where it can be.
pub async fn connect<N: Network>(
    network: &N,
    stream: N::Stream,
    tls: &ClientTls,
    time_max: Duration,
) -> Result<TlsStream<N::Stream>, Failure> {
    let connection = UnbufferedClientConnection::new(tls.config(), tls.server_name())?;
    let limits = (HANDSHAKE_BYTES_MAX, time_max);
    handshake(network, stream, Session::Client(connection), limits).await
}

async fn handshake<N: Network>(
    network: &N,
    stream: N::Stream,
    session: Session,
    (bytes_max, time_max): (usize, Duration),
) -> Result<TlsStream<N::Stream>, Failure> {
    let mut stream = TlsStream::new(stream, Engine::new(session, network.pool().clone()));
    let ended = {
        let handshake = pin!(stream.handshake(bytes_max));
        match select(handshake, pin!(network.sleep(time_max))).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Err(Failure::Timeout),
        }
    };
    ended.map(|()| stream)
}
