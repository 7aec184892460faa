//! Who may ask: HMAC-SHA256 with the secret of the cluster, over what is asked and over the answer
//! together with what it answers. Checked before a byte of the body is parsed.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

/// A message authentication code.
pub type Mac = [u8; MAC_BYTES];

/// The length of a [`Mac`].
const MAC_BYTES: usize = 32;

/// Of a request with this body.
pub fn request_mac(secret: &str, body: &[u8]) -> Mac {
    code(secret, &[REQUEST, body])
}

/// Of the answer with this body to the request with this code.
pub fn answer_mac(secret: &str, request: &Mac, body: &[u8]) -> Mac {
    code(secret, &[ANSWER, request, body])
}

/// Is this the code of a request with this body. Takes the same time whatever is wrong with it.
pub fn is_requests_mac(secret: &str, body: &[u8], given: &Mac) -> bool {
    is_code(secret, &[REQUEST, body], given)
}

/// Is this the code of the answer with this body to the request with this code.
pub fn is_answers_mac(secret: &str, request: &Mac, body: &[u8], given: &Mac) -> bool {
    is_code(secret, &[ANSWER, request, body], given)
}

fn code(secret: &str, parts: &[&[u8]]) -> Mac {
    fed(secret, parts).map_or([0; MAC_BYTES], |hmac| hmac.finalize().into_bytes().into())
}

fn is_code(secret: &str, parts: &[&[u8]], given: &Mac) -> bool {
    fed(secret, parts).is_some_and(|hmac| hmac.verify_slice(given).is_ok())
}

/// HMAC takes keys of every length, so this is never `None`.
fn fed(secret: &str, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    parts.iter().for_each(|part| hmac.update(part));
    Some(hmac)
}

/// Method and path of every request.
const REQUEST: &[u8] = b"qPOST/vote";
/// No request begins so: an answer is never taken for one.
const ANSWER: &[u8] = b"a";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_of_one_secret_one_body_and_one_direction() {
        let request = request_mac("secret", b"body");
        assert!(is_requests_mac("secret", b"body", &request));
        assert!(!is_requests_mac("Secret", b"body", &request));
        assert!(!is_requests_mac("secret", b"bodz", &request));
        let answer = answer_mac("secret", &request, b"body");
        assert!(is_answers_mac("secret", &request, b"body", &answer));
        assert!(!is_requests_mac("secret", b"body", &answer));
        assert!(!is_answers_mac("secret", &answer, b"body", &answer));
        for bit in 0..8 * MAC_BYTES {
            let mut wrong = request;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_requests_mac("secret", b"body", &wrong), "bit {bit}");
        }
    }

    /// RFC 4231, test case 2, behind what every request begins with.
    #[test]
    fn it_is_hmac_sha256() {
        let code = code("Jefe", &[b"what do ya want ", b"for nothing?"]);
        let digits: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(digits, expected);
    }
}
