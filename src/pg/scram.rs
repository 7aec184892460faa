//! SCRAM-SHA-256, the client's side (RFC 5802; RFC 7677). The password is salted in portions, because a
//! server may ask for so many iterations that nobody else would be served meanwhile.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use sha2::{Digest, Sha256};

/// What the first message says of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// We cannot bind.
    Unsupported,
    /// We can, and believe that the server cannot.
    Unrequested,
    /// `tls-server-end-point` (RFC 5929).
    EndPoint(Vec<u8>),
}

/// Our nonce is known, the server's challenge is not.
pub(super) struct Scram {
    binding: Binding,
    password: Vec<u8>,
    nonce: String,
    /// `client-first-message-bare`.
    bare: String,
}

/// The password is being salted (RFC 5802, section 2.2, `Hi`).
pub(super) struct Salting {
    key: Hmac<Sha256>,
    last: [u8; 32],
    salted: [u8; 32],
    left: u32,
    without_proof: String,
    auth_message: String,
}

/// Our proof is known, the server's is not.
pub(super) struct Proved {
    server: Hmac<Sha256>,
}

/// What is wrong with a challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Right, but more iterations than we take.
    TooManyIterations,
    Nonsense(&'static str),
}

impl Binding {
    fn header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::Unrequested => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Self::Unsupported | Self::Unrequested => &[],
            Self::EndPoint(hash) => hash,
        }
    }
}

impl Scram {
    /// The server knows the user from the start-up message, so that none is named here.
    pub(super) fn new(password: &[u8], binding: Binding) -> Self {
        // The crate draws the nonce, and nothing else of its SCRAM is used: it takes no more than 100,000
        // iterations, and computes them in one go.
        let drawn = ScramSha256::new(b"", ChannelBinding::unsupported());
        let drawn = String::from_utf8_lossy(drawn.message());
        let nonce = drawn.strip_prefix("n,,n=,r=").unwrap_or_default();
        Self {
            binding,
            password: normalized(password),
            nonce: nonce.to_owned(),
            bare: format!("n=,r={nonce}"),
        }
    }

    pub(super) fn first_message(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare)
    }

    /// Takes the server's challenge (`server-first-message`).
    pub(super) fn challenged(self, challenge: &[u8]) -> Result<Salting, Fault> {
        let text = std::str::from_utf8(challenge).map_err(|_| Fault::Nonsense("not UTF-8"))?;
        let (nonce, salt, iterations) = parts(text).ok_or(Fault::Nonsense("malformed"))?;
        if self.nonce.is_empty() || !nonce.starts_with(&self.nonce) {
            return Err(Fault::Nonsense("invalid nonce"));
        }
        let malformed = |_| Fault::Nonsense("malformed");
        let salt = STANDARD.decode(salt).map_err(malformed)?;
        let left = match iterations.parse::<u128>() {
            Ok(0) | Err(_) => return Err(Fault::Nonsense("malformed")),
            Ok(count) => u32::try_from(count)
                .ok()
                .filter(|count| *count <= MAX_ITERATIONS),
        };
        let left = left.ok_or(Fault::TooManyIterations)?;
        let bound = [self.binding.header().as_bytes(), self.binding.data()].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        let key = keyed(&self.password);
        let first = key.clone().chain_update(&salt).chain_update([0, 0, 0, 1]);
        let first = first.finalize().into_bytes().into();
        Ok(Salting {
            auth_message: format!("{},{text},{without_proof}", self.bare),
            without_proof,
            key,
            last: first,
            salted: first,
            left: left.saturating_sub(1),
        })
    }
}

impl Salting {
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// One portion: less than a millisecond.
    pub(super) fn next_portion(&mut self) {
        let portion = self.left.min(PORTION);
        for _ in 0..portion {
            let next = self.key.clone().chain_update(self.last);
            self.last = next.finalize().into_bytes().into();
            let sum = self.salted.iter_mut().zip(self.last);
            sum.for_each(|(sum, byte)| *sum ^= byte);
        }
        self.left = self.left.saturating_sub(portion);
    }

    /// Our proof (`client-final-message`), and what the server's is held against. To be called when it
    /// is done.
    pub(super) fn prove(self) -> (String, Proved) {
        let hmac = |key: &[u8], text: &[u8]| keyed(key).chain_update(text).finalize().into_bytes();
        let client_key = hmac(&self.salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), self.auth_message.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(key, byte)| key ^ byte)
            .collect();
        let server_key = hmac(&self.salted, b"Server Key");
        let proved = Proved {
            server: keyed(&server_key).chain_update(self.auth_message.as_bytes()),
        };
        (
            format!("{},p={}", self.without_proof, STANDARD.encode(proof)),
            proved,
        )
    }
}

impl Proved {
    /// Whether the server's proof (`server-final-message`) is right; else why not.
    pub(super) fn verify(self, proof: &[u8]) -> Result<(), String> {
        let proof = String::from_utf8_lossy(proof);
        if let Some(error) = proof.strip_prefix("e=") {
            return Err(format!("SCRAM error: {error}"));
        }
        let wrong = || "SCRAM verification error".to_owned();
        let proof = proof.strip_prefix("v=").ok_or_else(wrong)?;
        let proof = STANDARD.decode(proof).map_err(|_| wrong())?;
        self.server.verify_slice(&proof).map_err(|_| wrong())
    }
}

/// Nonce, salt and number of iterations.
fn parts(challenge: &str) -> Option<(&str, &str, &str)> {
    let mut attributes = challenge.split(',');
    let mut attribute = |name| attributes.next()?.strip_prefix(name);
    let found = (attribute("r=")?, attribute("s=")?, attribute("i=")?);
    let is_number = found.2.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && attributes.next().is_none()).then_some(found)
}

/// As PostgreSQL does: what SASLprep (RFC 4013) does not take stays as it is.
fn normalized(password: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    prepared.map_or_else(|| password.to_owned(), |text| text.as_bytes().to_owned())
}

/// RFC 2104: a key that is longer than a block is hashed, a shorter one filled up.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let hash;
    let key = if key.len() > BLOCK_BYTES {
        hash = Sha256::digest(key);
        hash.as_slice()
    } else {
        key
    };
    let mut block = [0; BLOCK_BYTES];
    block
        .iter_mut()
        .zip(key)
        .for_each(|(byte, of_key)| *byte = *of_key);
    Hmac::new(&block.into())
}

/// Of SHA-256.
const BLOCK_BYTES: usize = 64;
/// In about a second: eight times what is recommended today. What asks for more would keep a processor
/// busy at each attempt.
const MAX_ITERATIONS: u32 = 5_000_000;
/// Iterations at once.
const PORTION: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn scram(nonce: &str, user: &str, password: &[u8]) -> Scram {
        Scram {
            binding: Binding::Unsupported,
            password: normalized(password),
            nonce: nonce.to_owned(),
            bare: format!("n={user},r={nonce}"),
        }
    }

    /// RFC 7677, section 3.
    #[test]
    fn the_standards_example() {
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let mut salting = scram("rOprNGfwEbeRWgbNEkqO", "user", b"pencil")
            .challenged(challenge)
            .unwrap();
        let mut portions = 0;
        while !salting.is_done() {
            salting.next_portion();
            portions += 1;
        }
        assert_eq!(portions, 5);
        let (proof, proved) = salting.prove();
        assert_eq!(
            proof,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(
            proved.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
            Ok(())
        );
    }

    #[test]
    fn the_crates_own_client_proves_the_same() {
        for (password, iterations) in [
            (&b"pencil"[..], 1),
            (&[b'x'; 65], 4096),
            ("I\u{ad}X".as_bytes(), 1_001),
            (b"\xff", 2),
        ] {
            let mut theirs = ScramSha256::new(password, ChannelBinding::unsupported());
            let first = String::from_utf8(theirs.message().to_vec()).unwrap();
            let nonce = first.strip_prefix("n,,n=,r=").unwrap();
            let challenge = format!("r={nonce}more,s=c2FsdA==,i={iterations}");
            theirs.update(challenge.as_bytes()).unwrap();
            let mut ours = scram(nonce, "", password)
                .challenged(challenge.as_bytes())
                .unwrap();
            while !ours.is_done() {
                ours.next_portion();
            }
            assert_eq!(ours.prove().0.as_bytes(), theirs.message());
        }
    }

    #[test]
    fn a_challenge_is_taken_as_it_must_be_or_not_at_all() {
        let check = |challenge: &[u8], expected: Fault| {
            let outcome = scram("abc", "", b"x").challenged(challenge).map(drop);
            assert_eq!(outcome, Err(expected), "{}", challenge.escape_ascii());
        };
        let malformed = || Fault::Nonsense("malformed");
        check(b"r=abx,s=c2FsdA==,i=1", Fault::Nonsense("invalid nonce"));
        check(b"\xff", Fault::Nonsense("not UTF-8"));
        check(b"r=abcd,s=c2FsdA==,i=5000001", Fault::TooManyIterations);
        check(b"r=abcd,s=c2FsdA==,i=99999999999", Fault::TooManyIterations);
        for wrong in [
            "",
            "i=1",
            "r=abcd,s=!,i=1",
            "r=abcd,s=c2FsdA==",
            "r=abcd,s=c2FsdA==,i=",
            "r=abcd,i=1,s=c2FsdA==",
        ] {
            check(wrong.as_bytes(), malformed());
        }
        for wrong in ["0", "-1", "+1", "1x", "1\n", "1,m=x"] {
            check(
                format!("r=abcd,s=c2FsdA==,i={wrong}").as_bytes(),
                malformed(),
            );
        }
    }
}
