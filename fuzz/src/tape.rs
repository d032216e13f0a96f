//! The bytes of a run as a source of choices.
//!
//! Small choices take one byte each, so that a change of one byte changes one choice. At the end every choice is the
//! first one; who loops asks [`Tape::is_over`].

use mcp_proxy_tests::dice::Dice;

/// Bytes, read from the front.
#[derive(Debug, Clone)]
pub struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    /// A tape over these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether every byte has been read.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True for every `n`-th value of a byte.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// The next `len` bytes, or as many as there are.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything up to this byte, which is read too.
    pub fn until(&mut self, end: u8) -> &'a [u8] {
        let len = self.0.iter().position(|byte| *byte == end);
        let taken = self.take(len.unwrap_or(self.0.len()));
        self.take(usize::from(len.is_some()));
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Runs a decoder over `input` whole, byte by byte, and in pieces that the seed chooses; all must tell the same story.
///
/// # Panics
///
/// When they do not.
pub fn every_way<T>(seed: u8, input: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T
where
    T: PartialEq + std::fmt::Debug,
{
    let whole = run(&[input]);
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&single), whole, "byte by byte");
    let mut dice = Dice::new(seed.into());
    let mut pieces = Vec::new();
    let mut left = input;
    while !left.is_empty() {
        let most = (left.len() as u64).min(*dice.pick(&[2, 5, 40, 1_000]));
        let (piece, rest) = left.split_at(dice.range(1, most) as usize);
        pieces.push(piece);
        left = rest;
    }
    assert_eq!(run(&pieces), whole, "in {} pieces", pieces.len());
    whole
}
