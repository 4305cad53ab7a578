//! One exchange with rustls' unbuffered connection, for either side of it.

use buf::{ReadBuf, Shared};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};

use crate::error::Error;
use crate::flight::Flight;

/// What rustls came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It did something; ask again.
    Again,
    /// It takes no further input now.
    Nothing,
    /// The peer's close_notify has just come.
    End,
    /// Both sides have closed.
    Closed,
}

/// Where decrypted bytes go.
#[derive(Default)]
pub(crate) struct Sink<'s> {
    /// The caller's window.
    pub(crate) plain: Option<&'s mut ReadBuf>,
    /// What does not fit there; one record at most.
    pub(crate) left: Option<&'s mut Shared>,
    /// How much went into the window.
    pub(crate) taken: Option<&'s mut usize>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let n = self.plain.as_mut().map_or(0, |plain| plain.fill_from(bytes));
        if let Some(taken) = &mut self.taken {
            **taken += n;
        }
        if n < bytes.len()
            && let Some(left) = &mut self.left
        {
            **left = Shared::copy_of(&bytes[n..]);
        }
    }
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order<'a> {
    /// The plaintext of one record.
    Record(&'a [u8]),
    /// The alert that nothing follows.
    CloseNotify,
}

/// Acts on a status: plaintext into the sink, records of the handshake into the flight. Also gives how many bytes of input
/// are done with.
pub(crate) fn take<D>(
    status: UnbufferedStatus<'_, '_, D>,
    flight: &mut Flight,
    mut sink: Sink<'_>,
) -> (usize, Result<Step, Error>) {
    let mut discard = status.discard;
    let step = match status.state {
        Err(error) => Err(Error::unblamed(error)),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    sink.put(record.payload);
                    discard += record.discard;
                }
                Some(Err(error)) => break Err(Error::unblamed(error)),
                None => break Ok(Step::Again),
            }
        },
        // 0-RTT is off, so that no early data comes this way.
        Ok(ConnectionState::ReadEarlyData(_)) => Ok(Step::Again),
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(flight, |room| data.encode(room)).map(|()| Step::Again),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::End),
        Ok(ConnectionState::Closed) => Ok(Step::Closed),
        Ok(_) => Ok(Step::Nothing),
    };
    (discard, step)
}

/// Carries `order` out when the status allows it (true), or does first what stands before it (false).
pub(crate) fn order<D>(
    status: UnbufferedStatus<'_, '_, D>,
    flight: &mut Flight,
    need: usize,
    order: Order<'_>,
) -> (usize, Result<bool, Error>) {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut writer)) => (status.discard, write(&mut writer, flight, need, order)),
        // Nothing can be written any more, or not yet.
        Ok(ConnectionState::Closed | ConnectionState::BlockedHandshake) => (status.discard, Err(Error::Closed)),
        state => {
            let (discard, step) = take(UnbufferedStatus { discard: status.discard, state }, flight, Sink::default());
            (discard, step.map(|_| false))
        }
    }
}

fn write<D>(
    writer: &mut WriteTraffic<'_, D>,
    flight: &mut Flight,
    need: usize,
    order: Order<'_>,
) -> Result<bool, Error> {
    let room = flight.room(need).ok_or(Error::TooLarge)?;
    let written = match order {
        Order::Record(plain) => writer.encrypt(plain, room),
        Order::CloseNotify => writer.queue_close_notify(room),
    };
    match written {
        Ok(n) => {
            flight.commit(n);
            Ok(true)
        }
        Err(EncryptError::InsufficientSize(_)) => Err(Error::TooLarge),
        Err(EncryptError::EncryptExhausted) => Err(Error::Exhausted),
    }
}

/// Puts a record of the handshake into the flight.
fn encode(flight: &mut Flight, mut call: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) -> Result<(), Error> {
    let mut need = 0;
    loop {
        match call(flight.room(need).ok_or(Error::TooLarge)?) {
            Ok(n) => {
                flight.commit(n);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) if size.required_size > need => need = size.required_size,
            Err(_) => return Err(Error::TooLarge),
        }
    }
}
