//! Which addresses a development state listens on, and which of them it keeps.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::Failure;
use crate::state::Record;

/// Where the gateway listens unless said otherwise.
const GATEWAY_DEFAULT: SocketAddr = SocketAddr::new(LOOPBACK, 8470);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Ports that a state may keep over restarts: below those that the system gives to outgoing
/// connections, so that none of these is in the way when the state starts again.
const KEPT_PORTS: std::ops::Range<u16> = 15_000..30_000;

/// The addresses of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// The gateway.
    pub(crate) gateway: SocketAddr,
    /// The data plane's operations address.
    pub(crate) operations: SocketAddr,
    /// The control plane's API.
    pub(crate) api: SocketAddr,
    /// The control plane's address for nodes.
    pub(crate) nodes: SocketAddr,
}

impl Addresses {
    /// Chooses addresses: those of the last run where they are free.
    ///
    /// # Errors
    /// `listen` was asked for and is in use, or not an address of this machine.
    pub(crate) fn choose(listen: Option<SocketAddr>, last: &Record) -> Result<Self, Failure> {
        let mut taken = Vec::new();
        let gateway = gateway(listen, last)?;
        taken.push(gateway);
        let mut keep = |url: &str| -> Result<SocketAddr, Failure> {
            let address = match of_url(url).filter(|address| !taken.contains(address)) {
                Some(address) if is_free(address)? => address,
                Some(_) | None => free(LOOPBACK, &taken)?,
            };
            taken.push(address);
            Ok(address)
        };
        Ok(Self {
            gateway,
            operations: keep(&last.operations)?,
            api: keep(&last.api)?,
            nodes: keep(&last.nodes)?,
        })
    }
}

/// Refuses an address beyond this machine unless that was asked for.
pub(crate) fn check_exposure(listen: Option<SocketAddr>, exposed: bool) -> Result<(), Failure> {
    match listen {
        Some(address) if !address.ip().is_loopback() && !exposed => {
            Err(Failure::usage(format!("{address} can be reached from other machines")).hint(
                "a development gateway trusts a key that lies on disk; if that is meant, add \
                     --expose-development",
            ))
        }
        Some(_) | None => Ok(()),
    }
}

fn gateway(listen: Option<SocketAddr>, last: &Record) -> Result<SocketAddr, Failure> {
    if let Some(address) = listen {
        if address.port() == 0 {
            return free(address.ip(), &[]);
        }
        if !is_free(address)? {
            return Err(Failure::machine(format!("{address} is in use"))
                .hint("end the program that listens there, or choose another --listen"));
        }
        return Ok(address);
    }
    let last = of_url(&last.gateway).filter(|address| address.ip().is_loopback());
    for address in [Some(GATEWAY_DEFAULT), last].into_iter().flatten() {
        if is_free(address)? {
            return Ok(address);
        }
    }
    free(LOOPBACK, &[])
}

/// Binds the identity provider's listener: on its port of the last run, or on a new one.
///
/// # Errors
/// The port is in use, and the issuer can't move: its URL stands in documents in force.
pub(crate) fn bind_provider(issuer: &str) -> Result<TcpListener, Failure> {
    let address = match of_url(issuer) {
        Some(address) => address,
        None => free(LOOPBACK, &[])?,
    };
    TcpListener::bind(address).map_err(|error| {
        Failure::machine(format!("the development provider can't listen on {address}: {error}"))
            .hint("end the program that uses that address, or use another --state")
    })
}

/// The address in `http://address` or `https://address`.
fn of_url(url: &str) -> Option<SocketAddr> {
    url.split_once("://")?.1.parse().ok()
}

/// A free port among [`KEPT_PORTS`], or any that the system gives.
fn free(ip: IpAddr, taken: &[SocketAddr]) -> Result<SocketAddr, Failure> {
    for _ in 0..100 {
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| Failure::machine("this machine has no random numbers"))?;
        let offset = u16::from_le_bytes(random) % (KEPT_PORTS.end - KEPT_PORTS.start);
        let address = SocketAddr::new(ip, KEPT_PORTS.start + offset);
        if !taken.contains(&address) && is_free(address)? {
            return Ok(address);
        }
    }
    TcpListener::bind(SocketAddr::new(ip, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| unusable(SocketAddr::new(ip, 0), &error))
}

/// Whether nobody listens there, not even with `SO_REUSEPORT`.
fn is_free(address: SocketAddr) -> Result<bool, Failure> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(unusable(address, &error)),
    }
}

fn unusable(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::machine(format!("{address} can't be listened on: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn an_address_that_was_asked_for_and_is_in_use_is_an_error_that_names_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let failure = Addresses::choose(Some(address), &Record::default()).unwrap_err();
        assert_eq!(failure.exit, Exit::Machine);
        assert!(failure.message.contains(&address.to_string()));
    }

    #[test]
    fn addresses_of_the_last_run_are_kept_where_they_are_free() {
        let first = Addresses::choose(Some("127.0.0.1:0".parse().unwrap()), &Record::default());
        let first = first.unwrap();
        let last = Record {
            gateway: format!("http://{}", first.gateway),
            operations: format!("http://{}", first.operations),
            api: format!("http://{}", first.api),
            nodes: format!("https://{}", first.nodes),
            ..Record::default()
        };
        let _held = TcpListener::bind(first.api).unwrap();
        let second = Addresses::choose(Some(first.gateway), &last).unwrap();
        assert_eq!(second.gateway, first.gateway);
        assert_eq!(second.operations, first.operations);
        assert_eq!(second.nodes, first.nodes);
        assert_ne!(second.api, first.api);
    }

    #[test]
    fn an_address_beyond_this_machine_has_to_be_meant() {
        let beyond = Some("0.0.0.0:8470".parse().unwrap());
        assert!(check_exposure(beyond, false).is_err());
        assert!(check_exposure(beyond, true).is_ok());
        assert!(check_exposure(Some("[::1]:1".parse().unwrap()), false).is_ok());
        assert!(check_exposure(None, false).is_ok());
    }
}
