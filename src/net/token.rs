//! Tokens that are never used twice: an event for something that was closed finds nobody, instead
//! of its successor.

use mio::Token;

/// Gives out tokens.
#[derive(Debug)]
pub struct Tokens {
    next: usize,
}

impl Tokens {
    /// Tokens from `first` on; those below it are the owner's constants.
    pub const fn starting_at(first: usize) -> Self {
        Self { next: first }
    }

    /// A token that was never given out before. At a million a second 64 bits last for half a
    /// million years.
    pub fn take(&mut self) -> Token {
        let token = Token(self.next);
        self.next = self.next.wrapping_add(1);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_given_out_twice() {
        let mut tokens = Tokens::starting_at(3);
        assert_eq!(
            [tokens.take(), tokens.take(), tokens.take()],
            [Token(3), Token(4), Token(5)]
        );
    }
}
