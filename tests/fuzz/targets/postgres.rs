//! What a server says: whole sessions, the answer to the question whether it encrypts, SCRAM.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use pglookout::cluster::ProbeFailure;
use pglookout::config::{Environment, parse};
use pglookout::pg::{self, Ask, Progress, Session, Transport};

use super::{SECRET, hides_secret, however_delivered, on_one_line};

/// The first byte chooses how the connection is protected, the others are what the server sends.
pub(super) fn backend(input: &[u8]) {
    let Some((&mode, stream)) = input.split_first() else {
        return;
    };
    let transport = match mode % 3 {
        0 => Transport::Network,
        1 => Transport::Local,
        _ => Transport::Encrypted {
            end_point: Some(vec![7; 32]),
        },
    };
    let in_the_open = transport == Transport::Network;
    let _ = however_delivered(stream, |pieces| {
        let mut talk = Talk::begin(transport.clone());
        let outcome = pieces.iter().try_for_each(|piece| talk.receive(piece));
        if in_the_open {
            hides_secret(&String::from_utf8_lossy(&talk.out));
        }
        (talk.progress, outcome)
    });
}

pub(super) fn encryption(input: &[u8]) {
    let mut left = BytesMut::from(input);
    match pg::encryption_answer(&mut left) {
        Ok(Some(pg::Answer::Willing)) => assert_eq!((input, left.len()), (&b"S"[..], 0)),
        Ok(Some(pg::Answer::Unwilling)) => assert_eq!((input, left.len()), (&b"N"[..], 0)),
        Ok(Some(pg::Answer::Error)) => match pg::encryption_error(&mut left) {
            Ok(()) => {}
            Err(failure) => on_one_line(&failure.to_string()),
        },
        Ok(None) => assert!(input.is_empty()),
        Err(failure) => on_one_line(&failure.to_string()),
    }
}

/// The first line is the server's challenge, with our nonce in the place of `NONCE`; the second its
/// proof.
///
/// Nobody is believed who does not know the password, and no variation of bytes does.
pub(super) fn scram(input: &[u8]) {
    let mut talk = Talk::begin(Transport::Network);
    talk.receive(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"))
        .expect("SCRAM is offered");
    let sent = String::from_utf8_lossy(&talk.out).into_owned();
    let nonce = sent
        .rsplit_once("r=")
        .expect("a nonce was sent")
        .1
        .to_owned();
    let text = String::from_utf8_lossy(input).replace("NONCE", &nonce);
    let (challenge, proof) = text.split_once('\n').unwrap_or((&text, ""));
    let challenge = message(b'R', &[b"\0\0\0\x0b", challenge.as_bytes()].concat());
    let proof = message(b'R', &[b"\0\0\0\x0c", proof.as_bytes()].concat());
    let welcome = [message(b'R', b"\0\0\0\0"), message(b'Z', b"I")].concat();
    let outcome = [challenge, proof, welcome]
        .iter()
        .try_for_each(|message| talk.receive(message));
    // A challenge of very many iterations is still being computed; nothing is believed meanwhile.
    let is_refused = outcome.is_err() || talk.session.is_computing();
    assert!(
        is_refused && talk.progress.is_empty(),
        "{:?}",
        talk.progress
    );
    hides_secret(&String::from_utf8_lossy(&talk.out));
}

/// Of computing a proof, at once.
const PORTIONS: u32 = 20;

struct Talk {
    session: Session,
    input: BytesMut,
    out: BytesMut,
    progress: Vec<Progress>,
}

impl Talk {
    fn begin(transport: Transport) -> Self {
        let file = format!(r#"{{"remote_conns": {{"n": "user=u dbname=d password={SECRET}"}}}}"#);
        let loaded = parse(&file, &Environment::default()).expect("a configuration");
        let (_, info) = loaded.config.nodes.first_key_value().expect("a node");
        let mut out = BytesMut::new();
        Self {
            session: Session::start(info, 0, transport, &mut out),
            input: BytesMut::new(),
            out,
            progress: Vec::new(),
        }
    }

    /// Takes bytes of the server's, and asks again whenever there is an answer.
    fn receive(&mut self, bytes: &[u8]) -> Result<(), ProbeFailure> {
        self.input.extend_from_slice(bytes);
        // Where a challenge asks for many, the proof does not come.
        let mut portions = 0..PORTIONS;
        loop {
            match self.session.receive(&mut self.input, &mut self.out) {
                Ok(None) if self.session.is_computing() && portions.next().is_some() => {
                    self.session.compute(&mut self.out)?;
                }
                Ok(None) => return Ok(()),
                Ok(Some(progress)) => {
                    if let Progress::Warned(text) = &progress {
                        on_one_line(text);
                    }
                    self.progress.push(progress);
                    let ask = Ask {
                        session: Arc::from("pglookout:s1:ok:00ab12cd"),
                        timeout: Duration::from_secs(5),
                        spacing: Duration::from_secs(1),
                        below: None,
                    };
                    self.session.ask(ask, &mut self.out);
                }
                Err(failure) => {
                    on_one_line(&failure.to_string());
                    hides_secret(&format!("{failure} {:?}", self.session));
                    assert_eq!(
                        self.session.receive(&mut self.input, &mut self.out),
                        Err(failure.clone())
                    );
                    assert_eq!(self.session.connection_closed(), failure);
                    return Err(failure);
                }
            }
        }
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = BytesMut::new();
    message.put_u8(tag);
    message.put_u32(u32::try_from(body.len() + 4).expect("a short message"));
    message.put_slice(body);
    message.to_vec()
}
