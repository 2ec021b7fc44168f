//! Listeners: one socket a core on the same address, and the loop that accepts from it. In: an
//! address. Out: streams, each served by a task of its own. The kernel spreads connections over the
//! cores by their addresses (`SO_REUSEPORT`).

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::time::Duration;

use glommio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::cores::{Core, StartError, Stop};
use crate::network::{Network, NetworkError};
use crate::sockets::{GlommioNetwork, SocketStream, network_error};

/// How long a core accepts nothing after it ran out of descriptors or memory, or when it wants no
/// more connections: time for others to end.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections that are accepted before other tasks of the core have their turn.
const ACCEPTS_MAX: u32 = 8;

/// Binds `count` sockets to one address and listens on none of them yet.
///
/// The first is bound alone, without sharing, so that an address that is taken is an error even if
/// its holder would share it; it is opened to the others afterwards.
pub(crate) fn bind(
    address: SocketAddr,
    count: usize,
) -> Result<(SocketAddr, Vec<Socket>), StartError> {
    let failed = |error: io::Error| bind_error(address, &error);
    let first = socket(address).map_err(failed)?;
    first.bind(&address.into()).map_err(failed)?;
    first.set_reuse_port(true).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = socket(address).map_err(failed)?;
        next.set_reuse_port(true).map_err(failed)?;
        next.bind(&bound.into()).map_err(failed)?;
        sockets.push(next);
    }
    Ok((bound, sockets))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run that linger in the kernel do not hold the address.
    socket.set_reuse_address(true)?;
    // Accepted sockets take it over: small events of a stream leave when they are written.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Listens; connections wait in the kernel, at most `backlog`, until the core accepts them.
pub(crate) fn listen(address: SocketAddr, socket: &Socket, backlog: u32) -> Result<(), StartError> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(|error| bind_error(address, &error))
}

fn bind_error(address: SocketAddr, error: &io::Error) -> StartError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => StartError::AddressInUse { address },
        Some(libc::EACCES | libc::EPERM) => StartError::PortForbidden { address },
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => {
            StartError::AddressNotAvailable { address }
        }
        number => StartError::System { what: "listen", number: number.unwrap_or(libc::EIO) },
    }
}

/// Accepts connections for one core.
pub(crate) struct Acceptor<C> {
    core: Rc<C>,
    network: GlommioNetwork,
    connections_max: usize,
}

impl<C: Core> Acceptor<C> {
    pub(crate) fn new(core: Rc<C>, network: GlommioNetwork, connections_max: usize) -> Self {
        Self { core, network, connections_max }
    }

    /// Accepts until `stop`, then what still waits in the kernel, then closes the listener.
    ///
    /// The pending accept is never dropped: a connection that it took in that moment would stay
    /// open with nobody to serve it. Shutting the listener down ends it instead.
    pub(crate) async fn run(self, listener: Socket, stop: Stop) -> io::Result<()> {
        let control = listener.try_clone()?;
        let acceptor = Rc::new(self);
        let accepting = glommio::spawn_local(Rc::clone(&acceptor).accept(listener, stop.clone()));
        stop.stopped(acceptor.network.core()).await;
        control.set_nonblocking(true)?;
        while let Ok((socket, _)) = control.accept() {
            acceptor.admit(acceptor.network.adopt(socket));
        }
        control.shutdown(Shutdown::Both)?;
        accepting.await;
        Ok(())
    }

    async fn accept(self: Rc<Self>, listener: Socket, stop: Stop) {
        #[expect(
            unsafe_code,
            reason = "glommio takes a listener with its own backlog as a number only"
        )]
        // SAFETY: the descriptor was just released by its only owner, and is owned by the listener
        // from here on.
        let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
        let mut accepted = 0;
        loop {
            while !self.core.is_accepting() && !stop.is_stopping() {
                self.network.sleep(PAUSE).await;
            }
            match listener.accept().await {
                Ok(stream) => self.admit(self.network.accepted(stream)),
                Err(_) if stop.is_stopping() => return,
                Err(error) => self.failed(network_error(error.into())).await,
            }
            // Connections that already wait are accepted without waiting: others have their turn.
            accepted = (accepted + 1) % ACCEPTS_MAX;
            if accepted == 0 {
                self.network.yield_now().await;
            }
        }
    }

    /// Gives a stream to the core. One that is already gone is nobody's business.
    fn admit(&self, stream: Result<SocketStream, NetworkError>) {
        let Ok(stream) = stream else { return };
        let core = Rc::clone(&self.core);
        if self.network.connections() >= self.connections_max {
            self.network.spawn(async move { core.refuse(stream) });
            return;
        }
        let slot = self.network.slot();
        self.network.spawn(async move {
            let _slot = slot;
            core.serve(stream).await;
        });
    }

    async fn failed(&self, error: NetworkError) {
        let core = Rc::clone(&self.core);
        self.network.spawn(async move { core.accept_failed(error) });
        // A connection that ended while it waited says nothing about the next one.
        if error != NetworkError::Reset {
            self.network.sleep(PAUSE).await;
        }
    }
}
