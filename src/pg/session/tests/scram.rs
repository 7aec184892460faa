//! What a server needs to prove that it knows a password: HMAC-SHA-256 and base64, as short as they
//! can be.

/// RFC 2104 over SHA-256.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8, rest: &[u8]| sha256(&[&block.map(|byte| byte ^ pad)[..], rest].concat());
    padded(0x5c, &padded(0x36, message))
}

/// RFC 4648, section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            text.push(if place <= chunk.len() {
                alphabet[bits >> (18 - 6 * place) & 63]
            } else {
                '='
            });
        }
    }
    text
}

/// FIPS 180-4, section 6.2. The constants are the fractions of roots of primes (4.2.2 and 5.3.3).
fn sha256(message: &[u8]) -> [u8; 32] {
    let primes: Vec<f64> = (2..312_u32)
        .filter(|n| (2..*n).all(|d| n % d != 0))
        .map(f64::from)
        .collect();
    let fraction = |root: f64| (root.fract() * 4_294_967_296.0) as u32;
    let rounds: Vec<u32> = primes.iter().map(|prime| fraction(prime.cbrt())).collect();
    let mut hash: Vec<u32> = primes
        .iter()
        .take(8)
        .map(|prime| fraction(prime.sqrt()))
        .collect();

    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(
        padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 64 } else { 0 } - 8,
        0,
    );
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words: Vec<u32> = block
            .chunks(4)
            .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
            .collect();
        for i in 16..64 {
            let (near, far) = (words[i - 2], words[i - 15]);
            let near = near.rotate_right(17) ^ near.rotate_right(19) ^ near >> 10;
            let far = far.rotate_right(7) ^ far.rotate_right(18) ^ far >> 3;
            words.push(
                words[i - 16]
                    .wrapping_add(far)
                    .wrapping_add(words[i - 7])
                    .wrapping_add(near),
            );
        }
        let mut s = hash.clone();
        for (word, round) in words.iter().zip(&rounds) {
            let chosen = (s[4] & s[5]) ^ (!s[4] & s[6]);
            let mixed = s[4].rotate_right(6) ^ s[4].rotate_right(11) ^ s[4].rotate_right(25);
            let first = [mixed, chosen, *round, *word]
                .iter()
                .fold(s[7], |sum, term| sum.wrapping_add(*term));
            let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            let second = (s[0].rotate_right(2) ^ s[0].rotate_right(13) ^ s[0].rotate_right(22))
                .wrapping_add(majority);
            s.rotate_right(1);
            s[4] = s[4].wrapping_add(first);
            s[0] = first.wrapping_add(second);
        }
        hash.iter_mut()
            .zip(s)
            .for_each(|(sum, term)| *sum = sum.wrapping_add(term));
    }
    let bytes: Vec<u8> = hash.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.try_into().unwrap()
}

#[test]
fn known_answers() {
    assert_eq!(
        base64(&sha256(b"abc")),
        "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    );
    assert_eq!(base64(b"f"), "Zg==");
    assert_eq!(base64(b"fo"), "Zm8=");
}
