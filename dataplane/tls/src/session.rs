//! The library's state machine, driven: records in, plaintext and records of its own out.

use penstock_reactor::buffer::Block;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus,
};
use rustls::{CommonState, HandshakeKind};

use crate::failure::Failure;

/// One side's state.
pub(crate) enum Session {
    /// We were called.
    Server(UnbufferedServerConnection),
    /// We called.
    Client(UnbufferedClientConnection),
}

/// What came of records.
#[derive(Debug, Default)]
pub(crate) struct Processed {
    /// Bytes in front that are not needed any more.
    pub(crate) consumed: usize,
    /// Whether the peer said that it is done (`close_notify`).
    pub(crate) closed: bool,
    /// What went wrong; what came before it counts.
    pub(crate) failure: Option<Failure>,
}

/// Something to encrypt.
pub(crate) enum Outbound<'p> {
    /// Plaintext of one record.
    Data(&'p [u8]),
    /// The end of our side.
    CloseNotify,
}

impl Session {
    /// Processes whole records, decrypting them in place. Plaintext goes to `plaintext`, records
    /// that the library wants sent go to `control`.
    pub(crate) fn process(
        &mut self,
        records: &mut [u8],
        plaintext: &mut Block,
        control: &mut Vec<u8>,
    ) -> Processed {
        match self {
            Self::Server(connection) => process(&mut **connection, records, plaintext, control),
            Self::Client(connection) => process(&mut **connection, records, plaintext, control),
        }
    }

    /// Encrypts into a block. `retained` is what an earlier [`Self::process`] did not consume.
    pub(crate) fn encrypt(
        &mut self,
        outbound: &Outbound<'_>,
        retained: &mut [u8],
        block: &mut Block,
    ) -> Result<(), Failure> {
        match self {
            Self::Server(connection) => encrypt(&mut **connection, outbound, retained, block),
            Self::Client(connection) => encrypt(&mut **connection, outbound, retained, block),
        }
    }

    /// Whether application data can't go both ways yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether an earlier session was resumed.
    pub(crate) fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn common(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }
}

/// What both kinds of connection can do, without a common trait in the library.
trait Machine {
    type Data;

    fn step<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn wants_write(&self) -> bool;
}

impl Machine for UnbufferedConnectionCommon<ServerConnectionData> {
    type Data = ServerConnectionData;

    fn step<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }
}

impl Machine for UnbufferedConnectionCommon<ClientConnectionData> {
    type Data = ClientConnectionData;

    fn step<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }
}

fn process<M: Machine>(
    machine: &mut M,
    records: &mut [u8],
    plaintext: &mut Block,
    control: &mut Vec<u8>,
) -> Processed {
    let mut processed = Processed::default();
    loop {
        let rest = records.get_mut(processed.consumed..).unwrap_or_default();
        let UnbufferedStatus { mut discard, state } = machine.step(rest);
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                processed.failure = Some(error.into());
                break;
            }
        };
        let goes_on = match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                let mut taken = Ok(());
                while let (Ok(()), Some(record)) = (taken, traffic.next_record()) {
                    taken = record.map_err(Failure::from).and_then(|record| {
                        discard = discard.saturating_add(record.discard);
                        let count = plaintext.append(record.payload);
                        if count == record.payload.len() { Ok(()) } else { Err(Failure::Internal) }
                    });
                }
                taken.map(|()| true)
            }
            other => signal(other, control, &mut processed.closed),
        };
        processed.consumed = processed.consumed.saturating_add(discard);
        match goes_on {
            Ok(true) => {}
            Ok(false) => return processed,
            Err(failure) => {
                processed.failure = Some(failure);
                break;
            }
        }
    }
    take_alerts(machine, records.get_mut(processed.consumed..).unwrap_or_default(), control);
    processed
}

/// Every state but that of data; whether the machine has more to do with the same bytes.
fn signal<D>(
    state: ConnectionState<'_, '_, D>,
    control: &mut Vec<u8>,
    closed: &mut bool,
) -> Result<bool, Failure> {
    match state {
        ConnectionState::EncodeTlsData(mut encode) => {
            let Err(EncodeError::InsufficientSize(needed)) = encode.encode(&mut []) else {
                return Err(Failure::Internal);
            };
            let start = control.len();
            control.resize(start.saturating_add(needed.required_size), 0);
            let room = control.get_mut(start..).unwrap_or_default();
            encode.encode(room).map(|_| true).map_err(|_| Failure::Internal)
        }
        ConnectionState::TransmitTlsData(transmit) => {
            // It waits in `control`, which is sent before anything else.
            transmit.done();
            Ok(true)
        }
        ConnectionState::PeerClosed => {
            *closed = true;
            Ok(true)
        }
        ConnectionState::BlockedHandshake
        | ConnectionState::WriteTraffic(_)
        | ConnectionState::Closed => Ok(false),
        // Early data is never accepted, and what the library may add is not understood.
        _ => Err(Failure::Internal),
    }
}

/// After a failure: the alert that tells the peer. The machine is not asked for anything else.
fn take_alerts<M: Machine>(machine: &mut M, rest: &mut [u8], control: &mut Vec<u8>) {
    while machine.wants_write() {
        let UnbufferedStatus { state, .. } = machine.step(rest);
        let Ok(state @ ConnectionState::EncodeTlsData(_)) = state else { return };
        if signal(state, control, &mut false).is_err() {
            return;
        }
    }
}

fn encrypt<M: Machine>(
    machine: &mut M,
    outbound: &Outbound<'_>,
    retained: &mut [u8],
    block: &mut Block,
) -> Result<(), Failure> {
    let UnbufferedStatus { state, .. } = machine.step(retained);
    let ConnectionState::WriteTraffic(mut traffic) = state.map_err(Failure::from)? else {
        // Whatever the library wanted sent was taken before.
        return Err(Failure::Internal);
    };
    let written = match outbound {
        Outbound::Data(plaintext) => traffic.encrypt(plaintext, block.unfilled()),
        Outbound::CloseNotify => traffic.queue_close_notify(block.unfilled()),
    };
    match written {
        Ok(count) => {
            block.advance(count);
            Ok(())
        }
        Err(EncryptError::EncryptExhausted) => Err(Failure::Protocol),
        Err(EncryptError::InsufficientSize(_)) => Err(Failure::Internal),
    }
}
