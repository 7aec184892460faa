//! Chance from a seed. Test machinery: nothing that the daemon does depends on it, and nothing
//! secret may.

/// A source of numbers that is wholly determined by its seed, on every platform.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The same numbers for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        // Always drawn from 64 bits, so that the width of usize decides nothing.
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.0.u64(..end)).unwrap_or_default()
    }

    /// A number from `first` to `last`; `first` if that is the greater one.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        self.0.u64(first..=last.max(first))
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.0.u64(..100) < chance
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_everywhere() {
        // A schedule is named by its seed: another sequence would be another schedule.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(
            [rng.bits(), rng.bits(), rng.below(1_000) as u64],
            [13_725_641_357_320_173_039, 13_099_500_103_347_697_343, 81]
        );
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut rng = Rng::new(1);
        for _ in 0..1000 {
            assert!(rng.below(3) < 3);
            assert!((5..=7).contains(&rng.between(5, 7)));
        }
        assert_eq!(rng.one_of::<u8>(&[]), None);
        assert!(!rng.percent(0));
    }
}
